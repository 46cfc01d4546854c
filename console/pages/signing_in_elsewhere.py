"""Signing in at the OpenID provider."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import structlog

from console import security
from console.forms import Form
from console.oidc import Claims, Flow, OidcError, OidcUnavailable
from console.pages import problems
from console.pages.signing_in import begin as begin_session
from console.pages.signing_in import onwards, target
from console.paths import url
from console.people import (
    AlreadyMember,
    AnotherIdentity,
    EmailTaken,
    FieldInvalid,
    Identity,
    IdentityTaken,
    Link,
    LinkInvalid,
    LinkPurpose,
    Origin,
    Person,
)
from console.people.fields import NAME_LENGTH
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import UnavailableError

_log = structlog.get_logger("console.oidc")

_TEN_MINUTES: Final = 600
_UNKNOWN: Final = (
    "You are signed in there, but nobody here has invited that address. Ask an owner of your "
    "workspace for an invitation, and open its link."
)
_UNVERIFIED: Final = "The provider doesn’t vouch for your e-mail address, so it can’t be used here."
_NO_ADDRESS: Final = "The provider gives an e-mail address that can’t be used here."
_LATE: Final = "That took too long, or began in another browser: try again."
_USED_UP: Final = "The link is used up or too old. Ask for a new one."
_DISABLED: Final = "Your account here is disabled. Ask an administrator."
_TWICE: Final = "Somebody signed in so at the same moment: try again."
_AWAY: Final = (
    "The key authority doesn’t answer at the moment. Your link stays good: open it again in a "
    "moment."
)


class _NobodyError(Exception):
    """Nobody is signed in; the message is a sentence that says why."""

    def __init__(self, sentence: str, status: int = 403) -> None:
        super().__init__(sentence)
        self.status = status


async def begin(visit: Visit) -> Answer:
    """Sends the browser to the provider, if a page of ours has it come here."""
    if visit.parts.provider is None:
        return await problems.not_found(visit)
    after = visit.request.rel_url.query.get("next", "")
    if not is_asked_by_a_page(visit):
        return visit.redirect(url("sign_in") + "?" + urlencode({"next": target(after)}))
    return await depart(visit, after=after)


def is_asked_by_a_page(visit: Visit) -> bool:
    """Whether a page shown to this browser has it come here, and no link of another site.

    That could have the browser forget a sign-in that is under way, and begin one for somebody else.
    """
    return security.is_link_proof(visit.cookie, visit.request.rel_url.query.get("proof", ""))


async def depart(visit: Visit, *, after: str = "", link: str = "") -> Answer:
    """Sends the browser to the provider; back here it goes on to *after*, or takes up *link*."""
    if visit.parts.provider is None:
        return await problems.not_found(visit)
    try:
        begun = await visit.parts.provider.begin()
    except OidcUnavailable as error:
        _tell_operator(visit, error)
        return await _refused(visit, str(error), 503, after)
    kept = "~".join((begun.flow.to_text(), link or target(after)))
    visit.keep_cookie(security.SIGN_IN, security.encode(kept), _TEN_MINUTES)
    return visit.redirect(begun.url)


async def finish(visit: Visit) -> Answer:
    """Takes the provider's answer: who it is, if it is anybody here."""
    if visit.parts.provider is None:
        return await problems.not_found(visit)
    kept = security.decode(security.cookie(visit.request.cookies, security.SIGN_IN))
    text, _, after = kept.partition("~")
    flow = Flow.from_text(text)
    if flow is not None and flow.is_answered_by(visit.request.rel_url.query):
        # An answer to another question is a link of another site, which ends no sign-in.
        visit.forget_cookie(security.SIGN_IN)
    if flow is None:
        # The page of the answer was opened again, by the back button for instance.
        gone_on = visit.session is not None
        return visit.redirect(url("front")) if gone_on else await _refused(visit, _LATE, 400)
    try:
        claims = await visit.parts.provider.finish(flow, visit.request.rel_url.query)
        person = await _person(visit, claims, "" if after.startswith("/") else after)
    except OidcError as error:
        _tell_operator(visit, error)
        status = 503 if isinstance(error, OidcUnavailable) else 403
        return await _refused(visit, str(error), status, after)
    except _NobodyError as error:
        return await _refused(visit, str(error), error.status, after)
    await begin_session(visit, person, "oidc")
    return visit.redirect(onwards(after))


async def _person(visit: Visit, claims: Claims, token: str) -> Person:
    try:
        known = await _known(visit, claims)
        link = await visit.parts.books.links.find(token) if token else None
        if link is not None:
            return await _accepted(visit, claims, link, token, known)
    except LinkInvalid:
        raise _NobodyError(_USED_UP) from None
    except FieldInvalid:
        raise _NobodyError(_NO_ADDRESS) from None
    except AnotherIdentity as error:
        raise _NobodyError(str(error)) from None
    except (EmailTaken, IdentityTaken):
        raise _NobodyError(_TWICE, 409) from None
    except UnavailableError:
        raise _NobodyError(_AWAY, 503) from None
    if known is None:
        raise _NobodyError(_USED_UP if token else _UNKNOWN)
    return known


async def _known(visit: Visit, claims: Claims) -> Person | None:
    # By the account there; the first time by the address, if the provider vouches for it.
    accounts = visit.parts.books.accounts
    known = await accounts.by_identity(claims.issuer, claims.subject)
    if known is not None:
        return _enabled(known)
    if not claims.email or not claims.email_verified:
        raise _NobodyError(_UNVERIFIED)
    known = await accounts.by_email(claims.email)
    if known is not None:
        origin = Origin(_enabled(known).id, known.email, visit.source)
        await accounts.link_identity(origin, known.id, claims.issuer, claims.subject)
        # As the account is now: it may have lost its password.
        return await accounts.get(known.id)
    return known


def _enabled(person: Person) -> Person:
    if person.disabled:
        raise _NobodyError(_DISABLED)
    return person


async def _accepted(
    visit: Visit, claims: Claims, link: Link, token: str, known: Person | None
) -> Person:
    if link.purpose is LinkPurpose.INVITATION:
        return await _joined(visit, claims, link, token, known)
    if known is not None:
        return known
    workspaces = await visit.parts.only_workspace(visit.request.id)
    identity = Identity(claims.issuer, claims.subject)
    person = await visit.parts.books.links.accept_setup(
        token, claims.email, _name(claims), identity, workspaces, visit.source
    )
    visit.parts.forget_setup_link()
    return person


async def _joined(
    visit: Visit, claims: Claims, link: Link, token: str, known: Person | None
) -> Person:
    email = known.email if known is not None else claims.email
    if email.casefold() != link.email.casefold():
        raise _NobodyError(f"The invitation is for {link.email}, and you signed in as {email}.")
    identity = Identity(claims.issuer, claims.subject) if known is None else None
    person_id = known.id if known is not None else None
    try:
        return await visit.parts.books.links.accept_invitation(
            token, _name(claims), identity, visit.source, person_id
        )
    except AlreadyMember:
        if known is None:
            raise
        return known


def _name(claims: Claims) -> str:
    # What the provider calls them, as far as there is room for it here; they can change it.
    return (claims.name or claims.email)[:NAME_LENGTH]


def _tell_operator(visit: Visit, error: OidcError) -> None:
    _log.warning("nobody was signed in", reason=error.reason, request_id=visit.request.id)


async def _refused(visit: Visit, problem: str, status: int, after: str = "") -> Answer:
    form = Form(problem=problem)
    return await visit.page("sign_in.html", status, form=form, next=target(after))
