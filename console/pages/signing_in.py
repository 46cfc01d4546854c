"""Signing in with a password, and signing out."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from console import security
from console.forms import Form
from console.paths import url
from console.people import Limit, NotFound, Person
from console.visit import Visit
from keyauthority.base.http.addresses import network
from keyauthority.base.http.answer import Answer

NO_PASSWORDS: Final = "Passwords are switched off here."

_NO_COOKIE: Final = (
    "Your browser did not keep the sign-in. Allow cookies for this address; over plain http some "
    "browsers don’t keep any: then open the console by https."
)
_WRONG: Final = "That address and password don’t go together."
_MINUTE: Final = 60
# Kept in a cookie while somebody is at the provider, of which browsers take 4096 bytes.
_LONGEST_TARGET: Final = 1024


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
        form.problem = NO_PASSWORDS
        return await _page(visit, form, after, 403)
    limits = _limits(visit, form.values["email"])
    attempts = visit.parts.books.attempts
    # Counted before it is known to fail: many at once get no more tries than one after another.
    # Looked at before that: who is refused all the time costs no writing.
    wait = await attempts.wait(limits) or await attempts.count(limits)
    if wait:
        form.problem = too_many(wait)
        return await _page(visit, form, after, 429)
    person = await visit.parts.books.accounts.check_password(
        form.values["email"], visit.fields.raw("password")
    )
    if person is None:
        form.problem = _WRONG
        return await _page(visit, form, after, 401)
    # Who knows a password has all tries at it again, and no more than before at anybody else's.
    await forget_failures(visit, person)
    await attempts.give_back(limits[1:])
    await begin(visit, person, "password")
    return visit.redirect(onwards(after))


async def welcome(visit: Visit) -> Answer:
    """Where a sign-in ends: on, if the browser kept it."""
    after = target(visit.request.rel_url.query.get("next", ""))
    if visit.session is None:
        return visit.redirect(url("sign_in") + "?" + urlencode({"kept": "no", "next": after}))
    return visit.redirect(after)


async def sign_out(visit: Visit) -> Answer:
    """Ends this sign-in."""
    await _end(visit)
    visit.forget_cookie(security.SESSION)
    return visit.redirect(url("sign_in"), "signed-out")


async def begin(visit: Visit, person: Person, method: str) -> None:
    """Signs *person* in under a fresh name, whatever the browser was called before."""
    if visit.session is not None:
        await _end(visit)
    agent = visit.request.headers.get("User-Agent", "")[:300]
    _, token = await visit.parts.books.sessions.begin(person.id, visit.source, agent, method)
    lasting = round(visit.parts.settings.session_lifetime.total_seconds())
    visit.keep_cookie(security.SESSION, token.reveal(), lasting)
    visit.forget_cookie(security.VISITOR)


def onwards(after: str) -> str:
    """Where a browser goes that was just signed in: to see whether it kept that, then to *after*."""
    return url("welcome") + "?" + urlencode({"next": target(after)})


def target(path: str) -> str:
    """*path* if it is one of ours to go to, else the front page: never another site."""
    # Browsers take two slashes for a host, a backslash for a slash, and leave out line breaks.
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    plain = path.isascii() and path.isprintable() and len(path) <= _LONGEST_TARGET
    return path if ours and plain else url("front")


def too_many(wait: timedelta) -> str:
    """What is said to who has tried too often."""
    return f"Too many attempts. Try again in {_told(wait)}."


async def forget_failures(visit: Visit, person: Person) -> None:
    """Gives all tries from here at that person's password back."""
    await visit.parts.books.attempts.forget([_pair(visit, person.email)])


async def _end(visit: Visit) -> None:
    # It may have ended a moment ago, elsewhere.
    with suppress(NotFound):
        await visit.parts.books.sessions.end(visit.by, visit.me.id, visit.signed_in.id)


def _pair(visit: Visit, email: str) -> Limit:
    most = visit.parts.settings.sign_in
    return Limit(f"pair {network(visit.source)} {email.casefold()}", most.pair, most.per)


def _limits(visit: Visit, email: str) -> list[Limit]:
    most = visit.parts.settings.sign_in
    limits = [
        _pair(visit, email),
        Limit(f"email {email.casefold()}", most.email, most.per),
    ]
    if most.client:
        limits.append(Limit(f"client {network(visit.source)}", most.client, most.per))
    return limits


def _told(wait: timedelta) -> str:
    minutes = -(-round(wait.total_seconds()) // _MINUTE)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


async def _page(visit: Visit, form: Form, after: str, status: int = 200) -> Answer:
    return await visit.page("sign_in.html", status, form=form, next=target(after))
