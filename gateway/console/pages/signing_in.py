"""Signing in with a password, and signing out."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from gateway.answer import Answer
from gateway.console import cookies
from gateway.console.forms import Form
from gateway.console.paths import url
from gateway.console.people import Limit, Person
from gateway.console.visit import Visit

_NO_COOKIE: Final = (
    "Your browser did not keep the sign-in. Allow cookies for this address; over plain http some "
    "browsers don’t keep any: then open the console by https."
)
_WRONG: Final = "That address and password don’t go together."
_MINUTE: Final = 60


async def show(visit: Visit) -> Answer:
    """The form; whoever is signed in already goes on."""
    query = visit.request.rel_url.query
    if visit.session is not None:
        return visit.redirect(target(query.get("next", "")))
    problem = _NO_COOKIE if "kept" in query else None
    return await _page(visit, Form(problem=problem), query.get("next", ""))


async def submit(visit: Visit) -> Answer:
    """Signs in, or says the same thing whether it was the address or the password."""
    form = visit.fields.form(["email"])
    after = visit.fields.one("next")
    if not visit.parts.settings.local_accounts:
        form.problem = "Passwords are switched off here."
        return await _page(visit, form, after, 403)
    limits = _limits(visit, form.values["email"])
    attempts = visit.parts.books.attempts
    # Counted before it is known to fail: many at once get no more tries than one after another.
    wait = await attempts.wait(limits)
    if wait:
        form.problem = f"Too many attempts. Try again in {_told(wait)}."
        return await _page(visit, form, after, 429)
    await attempts.count(limits)
    person = await visit.parts.books.accounts.check_password(
        form.values["email"], visit.fields.raw("password")
    )
    if person is None:
        form.problem = _WRONG
        return await _page(visit, form, after, 401)
    await attempts.forget(limits)
    await begin(visit, person, "password")
    return visit.redirect(onwards(after))


async def welcome(visit: Visit) -> Answer:
    """Where a sign-in ends: on, if the browser kept it."""
    if visit.session is None:
        return visit.redirect("/sign-in?kept=no")
    return visit.redirect(target(visit.request.rel_url.query.get("next", "")))


async def sign_out(visit: Visit) -> Answer:
    """Ends this sign-in."""
    session = visit.signed_in
    await visit.parts.books.sessions.end(visit.by, session.person.id, session.id)
    visit.forget_cookie(cookies.SESSION)
    return visit.redirect("/sign-in", "signed-out")


async def begin(visit: Visit, person: Person, method: str) -> None:
    """Signs *person* in under a fresh name, whatever the browser was called before."""
    if visit.session is not None:
        await visit.parts.books.sessions.end(visit.by, visit.me.id, visit.session.id)
    agent = visit.request.headers.get("User-Agent", "")[:300]
    _, token = await visit.parts.books.sessions.begin(person.id, visit.source, agent, method)
    lasting = round(visit.parts.settings.session_lifetime.total_seconds())
    visit.keep_cookie(cookies.SESSION, token.reveal(), lasting)
    visit.forget_cookie(cookies.VISITOR)


def onwards(after: str) -> str:
    """Where a browser goes that was just signed in: to see whether it kept that, then to *after*."""
    return url("welcome") + "?" + urlencode({"next": target(after)})


def target(path: str) -> str:
    """*path* if it is one of ours to go to, else the front page: never another site."""
    parts = urlsplit(path)
    ours = path.startswith("/") and not parts.netloc and not parts.scheme
    return path if ours and path.isprintable() and "\\" not in path and path[:2] != "//" else "/"


def _limits(visit: Visit, email: str) -> list[Limit]:
    most, folded = visit.parts.settings.sign_in, email.casefold()
    limits = [
        Limit(f"pair {visit.source} {folded}", most.pair, most.per),
        Limit(f"email {folded}", most.email, most.per),
    ]
    if most.client:
        limits.append(Limit(f"client {visit.source}", most.client, most.per))
    return limits


def _told(wait: timedelta) -> str:
    minutes = -(-round(wait.total_seconds()) // _MINUTE)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


async def _page(visit: Visit, form: Form, after: str, status: int = 200) -> Answer:
    return await visit.page("sign_in.html", status, form=form, next=target(after))
