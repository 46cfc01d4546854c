"""All people, for administrators: who administers, links for new passwords, disabled accounts."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console.forms import Form
from console.paths import url
from console.people import LastAdministrator, NotFound, OwnAccount
from console.visit import Visit
from keyauthority.base.http.answer import Answer

_PAGE: Final = 50
_NO_CHOICE: Final = "This form is incomplete. Open the page again, and press a button there."
_CHOICES: Final = {"yes": True, "no": False}


async def show(visit: Visit) -> Answer:
    """Shows all people, newest first."""
    return await _page(visit, Form())


async def set_administrator(visit: Visit) -> Answer:
    """Makes a person an administrator, or no longer one."""
    administrator = _CHOICES.get(visit.fields.get("administrator"))
    person_id = visit.path["person"]
    if administrator is None:
        return await _page(visit, Form(problem=_NO_CHOICE), 422)
    try:
        await visit.parts.books.accounts.set_administrator(visit.origin, person_id, administrator)
    except LastAdministrator as error:
        return await _page(visit, Form(problem=str(error)), 422)
    if person_id == visit.me.id and not administrator:
        return visit.redirect("/", "administrator-no-more")
    notice = "administrator-added" if administrator else "administrator-removed"
    return visit.redirect(url("administration_people"), notice)


async def recover(visit: Visit) -> Answer:
    """Shows a link for a new password, once."""
    if not visit.parts.settings.local_accounts:
        raise NotFound("no passwords")
    books = visit.parts.books
    token = await books.links.new_recovery(visit.origin, visit.path["person"])
    return await visit.page(
        "recovery_link.html",
        section="administration",
        link=visit.parts.public_url + url("recovery", token=token.reveal()),
        person=await books.accounts.get(visit.path["person"]),
    )


async def sign_out(visit: Visit) -> Answer:
    """Ends all sessions of a person, who may sign in again."""
    books = visit.parts.books
    if await books.accounts.get(visit.path["person"]) is None:
        raise NotFound("no such person")
    await books.sessions.end_others(visit.origin, visit.path["person"])
    return visit.redirect(url("administration_people"), "signed-out-everywhere")


async def set_disabled(visit: Visit) -> Answer:
    """Disables a person's account, or enables it again."""
    disabled = _CHOICES.get(visit.fields.get("disabled"))
    if disabled is None:
        return await _page(visit, Form(problem=_NO_CHOICE), 422)
    try:
        await visit.parts.books.accounts.set_disabled(visit.origin, visit.path["person"], disabled)
    except (LastAdministrator, OwnAccount) as error:
        return await _page(visit, Form(problem=str(error)), 422)
    return visit.redirect(url("administration_people"), "disabled" if disabled else "enabled")


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    books, after = visit.parts.books, visit.query("after")
    people = await books.accounts.page(_PAGE + 1, after or None)
    more, people = len(people) > _PAGE, people[:_PAGE]
    path = url("administration_people")
    return await visit.page(
        "administration_people.html",
        status,
        section="administration",
        form=form,
        people=people,
        workspaces=await books.memberships.counts_of_people(person.id for person in people),
        next_href=f"{path}?{urlencode({'after': people[-1].id})}" if more else None,
    )
