"""Signing in at the OpenID provider."""

from __future__ import annotations

from typing import Final

import structlog

from gateway.answer import Answer
from gateway.console import cookies
from gateway.console.forms import Form
from gateway.console.oidc import Claims, Flow, OidcRefused, OidcUnavailable
from gateway.console.pages import problems
from gateway.console.pages.signing_in import begin as begin_session
from gateway.console.pages.signing_in import onwards, target
from gateway.console.people import Identity, Link, LinkInvalid, LinkPurpose, Origin, Person
from gateway.console.visit import Visit

_log = structlog.get_logger("gateway.console.oidc")

_TEN_MINUTES: Final = 600
_UNKNOWN: Final = (
    "You are signed in there, but nobody here has invited that address. Ask an owner of your "
    "workspace for an invitation, and open its link."
)
_UNVERIFIED: Final = "The provider doesn’t vouch for your e-mail address, so it can’t be used here."


async def begin(visit: Visit) -> Answer:
    """Sends the browser to the provider."""
    query = visit.request.rel_url.query
    return await depart(visit, after=query.get("next", ""))


async def depart(visit: Visit, *, after: str = "", link: str = "") -> Answer:
    """Sends the browser to the provider; back here it goes on to *after*, or takes up *link*."""
    if visit.parts.provider is None:
        return await problems.not_found(visit)
    try:
        begun = await visit.parts.provider.begin()
    except OidcUnavailable as error:
        return await _refused(visit, str(error), 503)
    kept = "~".join((begun.flow.to_text(), link or target(after)))
    visit.keep_cookie(cookies.SIGN_IN, cookies.packed(kept), _TEN_MINUTES)
    return visit.redirect(begun.url)


async def finish(visit: Visit) -> Answer:
    """Takes the provider's answer: who it is, if it is anybody here."""
    provider = visit.parts.provider
    if provider is None:
        return await problems.not_found(visit)
    kept = cookies.unpacked(cookies.presented(visit.request.cookies, cookies.SIGN_IN))
    text, _, after = kept.partition("~")
    flow = Flow.from_text(text)
    visit.forget_cookie(cookies.SIGN_IN)
    if flow is None:
        return await _refused(visit, "That took too long, or began in another browser: try again.")
    try:
        claims = await provider.finish(flow, visit.request.rel_url.query)
    except OidcUnavailable as error:
        return await _refused(visit, str(error), 503)
    except OidcRefused as error:
        return await _refused(visit, str(error), 403)
    person = await _person(visit, claims, "" if after.startswith("/") else after)
    if isinstance(person, str):
        return await _refused(visit, person, 403)
    await begin_session(visit, person, "oidc")
    return visit.redirect(onwards(after))


async def _person(visit: Visit, claims: Claims, token: str) -> Person | str:
    # Who it is; or, if nobody, the sentence that says so.
    accounts = visit.parts.books.accounts
    known = await accounts.by_identity(claims.issuer, claims.subject)
    link = await visit.parts.books.links.find(token) if token else None
    if known is None:
        if not claims.email or not claims.email_verified:
            return _UNVERIFIED
        known = await accounts.by_email(claims.email)
        if known is not None:
            origin = Origin(known.id, known.email, visit.source)
            await accounts.link_identity(origin, known.id, claims.issuer, claims.subject)
    if link is not None:
        return await _accepted(visit, claims, link, token, known)
    return known if known is not None else _UNKNOWN


async def _accepted(
    visit: Visit, claims: Claims, link: Link, token: str, known: Person | None
) -> Person | str:
    links = visit.parts.books.links
    identity = Identity(claims.issuer, claims.subject)
    name = claims.name or claims.email
    email = known.email if known is not None else claims.email
    try:
        if link.purpose is LinkPurpose.SETUP and known is None:
            workspaces = await visit.parts.only_workspace(visit.request.id)
            return await links.accept_setup(
                token, claims.email, name, identity, workspaces, visit.source
            )
        if link.purpose is LinkPurpose.INVITATION:
            if email.casefold() != link.email.casefold():
                return f"The invitation is for {link.email}, and you signed in as {email}."
            return await links.accept_invitation(
                token,
                name,
                None if known is not None else identity,
                visit.source,
                person_id=known.id if known is not None else None,
            )
    except LinkInvalid:
        return "The link is used up or too old. Ask for a new one."
    return known if known is not None else _UNKNOWN


async def _refused(visit: Visit, problem: str, status: int = 400) -> Answer:
    return await visit.page("sign_in.html", status, form=Form(problem=problem), next="/")
