"""For administrators: who there is, who else administers, and new passwords for who lost theirs."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console.forms import Form
from console.pages import problems
from console.paths import url
from console.people import LastAdministrator, OwnAccount, Person
from console.views import PersonRow
from console.visit import Visit
from keyauthority.base.http.answer import Answer

PAGE: Final = 50
_NOTHING_CHOSEN: Final = "Choose a person, and what they are to be."
_YES: Final = {"yes": True, "no": False}


async def show(visit: Visit) -> Answer:
    """Everybody, newest first."""
    return await _page(visit, Form())


async def set_administrator(visit: Visit) -> Answer:
    """Makes somebody an administrator, or has them be one no longer."""
    value = _YES.get(visit.fields.one("administrator"))
    if value is None:
        return await _page(visit, Form(problem=_NOTHING_CHOSEN), 422)
    try:
        await visit.parts.books.accounts.set_administrator(visit.by, visit.path["person"], value)
    except LastAdministrator as error:
        return await _page(visit, Form(problem=str(error)), 422)
    if visit.path["person"] == visit.me.id and not value:
        return visit.redirect("/", "administrator-no-more")
    done = "administrator-added" if value else "administrator-removed"
    return visit.redirect(url("administration_people"), done)


async def recover(visit: Visit) -> Answer:
    """A link that sets a new password, shown once."""
    if not visit.parts.settings.local_accounts:
        return await problems.not_found(visit)
    books = visit.parts.books
    token = await books.links.new_recovery(visit.by, visit.path["person"])
    person = await books.accounts.get(visit.path["person"])
    return await visit.page(
        "recovery_link.html",
        section="administration",
        link=visit.parts.public_url + url("recovery", token=token.reveal()),
        person=person,
    )


async def sign_out(visit: Visit) -> Answer:
    """Ends all of somebody's sign-ins; they may sign in again."""
    books = visit.parts.books
    if await books.accounts.get(visit.path["person"]) is None:
        return await problems.not_found(visit)
    await books.sessions.end_others(visit.by, visit.path["person"])
    return visit.redirect(url("administration_people"), "signed-out-everywhere")


async def set_disabled(visit: Visit) -> Answer:
    """Has somebody sign in no more, or lets them again."""
    value = _YES.get(visit.fields.one("disabled"))
    if value is None:
        return await _page(visit, Form(problem=_NOTHING_CHOSEN), 422)
    try:
        await visit.parts.books.accounts.set_disabled(visit.by, visit.path["person"], value)
    except (LastAdministrator, OwnAccount) as error:
        return await _page(visit, Form(problem=str(error)), 422)
    return visit.redirect(url("administration_people"), "disabled" if value else "enabled")


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    books, after = visit.parts.books, visit.asked("after")
    people = await books.accounts.page(PAGE + 1, after or None)
    shown = people[:PAGE]
    workspaces = await books.memberships.counts_of_people(one.id for one in shown)
    return await visit.page(
        "administration_people.html",
        status,
        section="administration",
        form=form,
        people=[_row(visit, one, workspaces[one.id]) for one in shown],
        next_href=(
            url("administration_people") + "?" + urlencode({"after": shown[-1].id})
            if len(people) > PAGE
            else None
        ),
    )


def _row(visit: Visit, one: Person, workspaces: int) -> PersonRow:
    return PersonRow(
        id=one.id,
        name=one.name,
        email=one.email,
        administrator=one.administrator,
        disabled=one.disabled,
        workspaces=workspaces,
        is_me=one.id == visit.me.id,
        administrator_action=url("person_administrator", person=one.id),
        recovery_action=url("person_recovery", person=one.id),
        sign_out_action=url("person_sign_out", person=one.id),
        disabled_action=url("person_disabled", person=one.id),
    )
