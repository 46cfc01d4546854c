"""Signing in at the OpenID provider, and accepting links that way."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import structlog

from console import security
from console.forms import Form
from console.oidc import Claims, Flow, OidcError, OidcUnavailable, Provider
from console.pages import signing_in
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
    NotFound,
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
    "You signed in at the provider, but nobody has invited your address. Ask an owner of your "
    "workspace for an invitation, and open its link."
)
_UNVERIFIED: Final = "The provider has not verified your e-mail address, so it can’t be used here."
_NO_ADDRESS: Final = "The provider gives an e-mail address that can’t be used here."
_LATE: Final = "Signing in took too long, or began in another browser. Try again."
_USED_UP: Final = "The link was used already or has expired. Ask for a new one."
_DISABLED: Final = "Your account here is disabled. Ask an administrator."
_TWICE: Final = "Somebody else signed in as you did at the same moment. Try again."
_AWAY: Final = (
    "The key authority doesn’t answer at the moment. Your link stays good: open it again in a "
    "moment."
)


class _NotSignedInError(Exception):
    """Signing in is refused; the message is a sentence that says why."""

    def __init__(self, sentence: str, status: int = 403) -> None:
        super().__init__(sentence)
        self.status = status


async def begin(visit: Visit) -> Answer:
    """Sends the browser to the provider, if it comes from a page of the console."""
    _provider(visit)
    after = visit.request.rel_url.query.get("next", "")
    if not has_proof(visit):
        return visit.redirect(url("sign_in") + "?" + urlencode({"next": target(after)}))
    return await depart(visit, after=after)


def has_proof(visit: Visit) -> bool:
    """Returns whether the browser followed a link in a page that the console showed to it.

    A link of another site could end a sign-in that is under way, and begin another person's.
    """
    return security.is_link_proof(visit.cookie, visit.request.rel_url.query.get("proof", ""))


async def depart(visit: Visit, *, after: str = "", link: str = "") -> Answer:
    """Sends the browser to the provider; afterwards it opens *after*, or accepts *link*."""
    try:
        begun = await _provider(visit).begin()
    except OidcUnavailable as error:
        _tell_operator(visit, error)
        return await _refused(visit, str(error), 503, after)
    text = "~".join((begun.flow.to_text(), link or target(after)))
    visit.set_cookie(security.SIGN_IN, security.encode(text), _TEN_MINUTES)
    return visit.redirect(begun.url)


async def finish(visit: Visit) -> Answer:
    """Signs in the person whom the provider's answer names, if there is an account or a link."""
    provider = _provider(visit)
    cookie = security.decode(security.cookie(visit.request.cookies, security.SIGN_IN))
    text, _, after = cookie.partition("~")
    flow = Flow.from_text(text)
    if flow is not None and flow.is_answered_by(visit.request.rel_url.query):
        # An answer with another state is a link of another site, and ends no sign-in.
        visit.delete_cookie(security.SIGN_IN)
    if flow is None:
        # The address of the answer was opened again, by the back button for instance.
        if visit.session is not None:
            return visit.redirect(url("front"))
        return await _refused(visit, _LATE, 400)
    try:
        claims = await provider.finish(flow, visit.request.rel_url.query)
        person = await _person(visit, claims, "" if after.startswith("/") else after)
    except OidcError as error:
        _tell_operator(visit, error)
        status = 503 if isinstance(error, OidcUnavailable) else 403
        return await _refused(visit, str(error), status, after)
    except _NotSignedInError as error:
        return await _refused(visit, str(error), error.status, after)
    await signing_in.begin(visit, person, "oidc")
    return visit.redirect(onwards(after))


def _provider(visit: Visit) -> Provider:
    if visit.parts.provider is None:
        raise NotFound("no provider")
    return visit.parts.provider


async def _person(visit: Visit, claims: Claims, token: str) -> Person:
    try:
        person = await _account(visit, claims)
        link = await visit.parts.books.links.find(token) if token else None
        if link is not None:
            return await _accept(visit, claims, link, token, person)
    except LinkInvalid:
        raise _NotSignedInError(_USED_UP) from None
    except FieldInvalid:
        raise _NotSignedInError(_NO_ADDRESS) from None
    except AnotherIdentity as error:
        raise _NotSignedInError(str(error)) from None
    except (EmailTaken, IdentityTaken):
        raise _NotSignedInError(_TWICE, 409) from None
    except UnavailableError:
        raise _NotSignedInError(_AWAY, 503) from None
    if person is None:
        raise _NotSignedInError(_USED_UP if token else _UNKNOWN)
    return person


async def _account(visit: Visit, claims: Claims) -> Person | None:
    # By the identity; the first time by the address, if the provider has verified it.
    accounts = visit.parts.books.accounts
    person = await accounts.by_identity(claims.issuer, claims.subject)
    if person is not None:
        return _enabled(person)
    if not claims.email or not claims.email_verified:
        raise _NotSignedInError(_UNVERIFIED)
    person = await accounts.by_email(claims.email)
    if person is None:
        return None
    origin = Origin(_enabled(person).id, person.email, visit.source)
    await accounts.link_identity(origin, person.id, claims.issuer, claims.subject)
    # Read again: linking may have removed the password.
    return await accounts.get(person.id)


def _enabled(person: Person) -> Person:
    if person.disabled:
        raise _NotSignedInError(_DISABLED)
    return person


async def _accept(
    visit: Visit, claims: Claims, link: Link, token: str, account: Person | None
) -> Person:
    if link.purpose is LinkPurpose.INVITATION:
        return await _join(visit, claims, link, token, account)
    if account is not None:
        return account
    identity = Identity(claims.issuer, claims.subject)
    return await signing_in.accept_setup(visit, token, claims.email, _name(claims), identity)


async def _join(
    visit: Visit, claims: Claims, link: Link, token: str, account: Person | None
) -> Person:
    email = account.email if account is not None else claims.email
    if email.casefold() != link.email.casefold():
        raise _NotSignedInError(
            f"The invitation is for {link.email}, and you signed in as {email}."
        )
    identity = Identity(claims.issuer, claims.subject) if account is None else None
    person_id = account.id if account is not None else None
    try:
        return await visit.parts.books.links.accept_invitation(
            token, _name(claims), identity, visit.source, person_id
        )
    except AlreadyMember:
        if account is None:
            raise
        return account


def _name(claims: Claims) -> str:
    # The provider's name for the person, shortened if need be; the person can change it.
    return (claims.name or claims.email)[:NAME_LENGTH]


def _tell_operator(visit: Visit, error: OidcError) -> None:
    _log.warning("oidc_sign_in_failed", reason=error.reason, request_id=visit.request.id)


async def _refused(visit: Visit, problem: str, status: int, after: str = "") -> Answer:
    form = Form(problem=problem)
    return await visit.page("sign_in.html", status, form=form, next=target(after))
