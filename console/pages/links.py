"""One-time links: the first administrator's, invitations, and links for a new password."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from console.forms import Form
from console.pages import oidc, signing_in
from console.paths import url
from console.people import (
    AlreadyMember,
    EmailTaken,
    FieldInvalid,
    Link,
    LinkForAnother,
    LinkInvalid,
    LinkPurpose,
    Password,
    Person,
)
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import MissingError, UnavailableError, workspaces

_AWAY: Final = (
    "The key authority doesn’t answer at the moment. Your link stays good: type the password again "
    "and press the button in a moment."
)
_HAS_ACCOUNT: Final = "There is an account with this address already. Sign in to join."


async def setup(visit: Visit) -> Answer:
    """Shows the form for the first administrator's account."""
    await _link(visit, LinkPurpose.SETUP)
    return await _setup_page(visit, Form())


async def submit_setup(visit: Visit) -> Answer:
    """Makes the first administrator, who owns the workspace if there is just one."""
    form = visit.fields.form(["email", "name"])
    password = Password(visit.fields.raw("password"))
    await _link(visit, LinkPurpose.SETUP)
    status = _check_new_account(visit, form)
    if status:
        return await _setup_page(visit, form, status)
    try:
        person = await signing_in.accept_setup(
            visit, visit.path["token"], form.values["email"], form.values["name"], password
        )
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        return await _setup_page(visit, form, 422)
    except UnavailableError:
        form.problem = _AWAY
        return await _setup_page(visit, form, 503)
    return await _enter(visit, person)


async def invitation(visit: Visit) -> Answer:
    """Shows the workspace, the inviter, and the visitor's next step."""
    link = await _link(visit, LinkPurpose.INVITATION)
    return await _invitation_page(visit, link, Form())


async def submit_invitation(visit: Visit) -> Answer:
    """Joins the workspace, with a new account or the visitor's own."""
    link = await _link(visit, LinkPurpose.INVITATION)
    form = visit.fields.form(["name"])
    try:
        if visit.session is not None:
            return await _join(visit, link)
        return await _register(visit, link, form)
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        status = 422
    except LinkForAnother as error:
        form.problem, status = str(error), 403
    except EmailTaken:
        form.problem, status = _HAS_ACCOUNT, 409
    return await _invitation_page(visit, link, form, status)


async def _join(visit: Visit, link: Link) -> Answer:
    token = visit.path["token"]
    with suppress(AlreadyMember):
        await visit.parts.books.links.accept_invitation(
            token, visit.me.name, None, visit.source, person_id=visit.me.id
        )
    return visit.redirect(url("keys", workspace=link.workspace_id), "joined")


async def _register(visit: Visit, link: Link, form: Form) -> Answer:
    status = _check_new_account(visit, form)
    if status:
        return await _invitation_page(visit, link, form, status)
    password = Password(visit.fields.raw("password"))
    person = await visit.parts.books.links.accept_invitation(
        visit.path["token"], form.values["name"], password, visit.source
    )
    return await _enter(visit, person)


def _check_new_account(visit: Visit, form: Form) -> int:
    # The status of a refusal; 0: nothing is wrong so far.
    if not visit.parts.settings.local_accounts:
        form.problem = signing_in.NO_PASSWORDS
        return 403
    form.keep_secrets_out()
    return 0 if form.ok else 422


async def recovery(visit: Visit) -> Answer:
    """Shows the form for a new password."""
    link = await _link(visit, LinkPurpose.RECOVERY)
    return await _recovery_page(visit, link, Form())


async def submit_recovery(visit: Visit) -> Answer:
    """Sets the new password, and ends all of the person's sessions."""
    link = await _link(visit, LinkPurpose.RECOVERY)
    form = Form()
    try:
        person = await visit.parts.books.links.accept_recovery(
            visit.path["token"], visit.fields.raw("password"), visit.source
        )
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        return await _recovery_page(visit, link, form, 422)
    await signing_in.forget_failures(visit, person)
    return visit.redirect(url("sign_in"), "password-set")


async def by_provider(visit: Visit) -> Answer:
    """Accepts the link by signing in at the OpenID provider."""
    link = await visit.parts.books.links.find(visit.path["token"])
    if link is None or link.purpose is LinkPurpose.RECOVERY:
        raise LinkInvalid
    if not oidc.has_proof(visit):
        page = "setup" if link.purpose is LinkPurpose.SETUP else "invitation"
        return visit.redirect(url(page, token=visit.path["token"]))
    return await oidc.depart(visit, link=visit.path["token"])


async def _link(visit: Visit, purpose: LinkPurpose) -> Link:
    link = await visit.parts.books.links.find(visit.path["token"])
    if purpose is LinkPurpose.RECOVERY and not visit.parts.settings.local_accounts:
        raise LinkInvalid
    if link is None or link.purpose is not purpose:
        raise LinkInvalid
    return link


async def _enter(visit: Visit, person: Person) -> Answer:
    await signing_in.begin(visit, person, "password")
    return visit.redirect(signing_in.onwards("/"))


async def _setup_page(visit: Visit, form: Form, status: int = 200) -> Answer:
    return await visit.page("setup.html", status, form=form, token=visit.path["token"])


async def _invitation_page(visit: Visit, link: Link, form: Form, status: int = 200) -> Answer:
    try:
        workspace = await visit.authority.call(workspaces.get(link.workspace_id))
        name = workspace.name
    except (MissingError, UnavailableError):
        name = visit.parts.names.get(link.workspace_id)
    return await visit.page(
        "invitation.html",
        status,
        form=form,
        invitation=link,
        workspace_name=name,
        state=_state(visit, link),
        token=visit.path["token"],
    )


def _state(visit: Visit, link: Link) -> str:
    # A visitor who isn't signed in, such as the inviter, does not learn who has an account.
    if visit.session is None:
        return "open"
    return "yours" if visit.me.email.casefold() == link.email.casefold() else "other"


async def _recovery_page(visit: Visit, link: Link, form: Form, status: int = 200) -> Answer:
    person = await visit.parts.books.accounts.get(link.person_id)
    return await visit.page(
        "recovery.html",
        status,
        form=form,
        token=visit.path["token"],
        email=person.email if person is not None else "",
    )
