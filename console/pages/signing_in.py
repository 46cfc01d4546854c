"""Signing in with a password, and signing out."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from console import security
from console.forms import Form
from console.paths import url
from console.people import Identity, Limit, NotFound, Password, Person
from console.visit import Visit
from keyauthority.base.http.addresses import network
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import workspaces

NO_PASSWORDS: Final = "Passwords are switched off here."

_NO_COOKIE: Final = (
    "Your browser did not keep the sign-in. Allow cookies for this address. Some browsers keep no "
    "cookies over plain http: open the console by https then."
)
_WRONG: Final = "The e-mail address or the password is wrong."
_MINUTE: Final = 60
# A cookie holds it during a sign-in at the provider; browsers accept 4096 bytes.
_LONGEST_TARGET: Final = 1024


async def show(visit: Visit) -> Answer:
    """Shows the form; who is signed in already goes on."""
    query = visit.request.rel_url.query
    if visit.session is not None:
        return visit.redirect(target(query.get("next", "")))
    problem = _NO_COOKIE if "kept" in query else None
    return await _page(visit, Form(problem=problem), query.get("next", ""))


async def submit(visit: Visit) -> Answer:
    """Signs in. A refusal doesn't say whether the address or the password was wrong."""
    form = visit.fields.form(["email"])
    after = visit.fields.get("next")
    if not visit.parts.settings.local_accounts:
        form.problem = NO_PASSWORDS
        return await _page(visit, form, after, 403)
    limits = _limits(visit, form.values["email"])
    attempts = visit.parts.books.attempts
    # Attempts are counted before the check: many at once get no more tries than one after another.
    # The wait is read before that: refused attempts cost no write.
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
    # The right password restores all attempts at it, and none at other people's.
    await forget_failures(visit, person)
    await attempts.give_back(limits[1:])
    await begin(visit, person, "password")
    return visit.redirect(onwards(after))


async def welcome(visit: Visit) -> Answer:
    """Goes on after signing in, if the browser kept the cookie."""
    after = target(visit.request.rel_url.query.get("next", ""))
    if visit.session is None:
        return visit.redirect(url("sign_in") + "?" + urlencode({"kept": "no", "next": after}))
    return visit.redirect(after)


async def sign_out(visit: Visit) -> Answer:
    """Ends this session."""
    await _end(visit)
    visit.delete_cookie(security.SESSION)
    return visit.redirect(url("sign_in"), "signed-out")


async def begin(visit: Visit, person: Person, method: str) -> None:
    """Begins a session of *person*, with a fresh cookie; ends the browser's earlier one."""
    if visit.session is not None:
        await _end(visit)
    agent = visit.request.headers.get("User-Agent", "")[:300]
    _, token = await visit.parts.books.sessions.begin(person.id, visit.source, agent, method)
    seconds = round(visit.parts.settings.session_lifetime.total_seconds())
    visit.set_cookie(security.SESSION, token.reveal(), seconds)
    visit.delete_cookie(security.VISITOR)


async def accept_setup(
    visit: Visit, token: str, email: str, name: str, credential: Password | Identity
) -> Person:
    """Makes the first administrator, who owns the workspace if there is just one.

    Raises `LinkInvalid`, `FieldInvalid`, `EmailTaken`, `IdentityTaken`, `AuthorityError`.
    """
    authority = visit.parts.authority.acting_for(None, visit.request.id)
    page = await authority.call(workspaces.page(size=2))
    owned = [page.records[0].id] if len(page.records) == 1 else []
    person = await visit.parts.books.links.accept_setup(
        token, email, name, credential, owned, visit.source
    )
    visit.parts.forget_setup_link()
    return person


def onwards(after: str) -> str:
    """Returns the page that checks whether the browser kept its cookie, and goes on to *after*."""
    return url("welcome") + "?" + urlencode({"next": target(after)})


def target(path: str) -> str:
    """Returns *path* if it is a path of the console, else the front page: never another site."""
    # Browsers read two slashes as a host and a backslash as a slash, and skip line breaks.
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    plain = path.isascii() and path.isprintable() and len(path) <= _LONGEST_TARGET
    return path if ours and plain else url("front")


def too_many(wait: timedelta) -> str:
    """Returns the refusal of a further attempt."""
    minutes = -(-round(wait.total_seconds()) // _MINUTE)
    text = "a minute" if minutes <= 1 else f"{minutes} minutes"
    return f"Too many attempts. Try again in {text}."


async def forget_failures(visit: Visit, person: Person) -> None:
    """Restores the attempts at that person's password from this address."""
    await visit.parts.books.attempts.forget([_pair(visit, person.email)])


async def _end(visit: Visit) -> None:
    # Another request may have ended it a moment ago.
    with suppress(NotFound):
        await visit.parts.books.sessions.end(visit.origin, visit.me.id, visit.signed_in.id)


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


async def _page(visit: Visit, form: Form, after: str, status: int = 200) -> Answer:
    return await visit.page("sign_in.html", status, form=form, next=target(after))
