"""A person's own page: name, time zone, password and sessions."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import available_timezones

from console.forms import Form
from console.pages import problems, signing_in
from console.paths import url
from console.people import FieldInvalid, Limit
from console.visit import Visit
from keyauthority.base.http.answer import Answer

TIME_ZONES: Final = (
    "UTC",
    *sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")),
)
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


async def show(visit: Visit) -> Answer:
    """Shows the page."""
    return await _page(visit, profile=_profile(visit), password=Form())


async def save(visit: Visit) -> Answer:
    """Changes name and time zone."""
    form = visit.fields.form(["name", "time_zone"])
    zone = form.values["time_zone"]
    if zone and zone not in TIME_ZONES:
        form.errors["time_zone"] = "Choose a time zone from the list."
    form.keep_secrets_out()
    if not form.ok:
        return await _page(visit, profile=form, password=Form(), status=422)
    try:
        await visit.parts.books.accounts.update(
            visit.origin, visit.me.id, name=form.values["name"], time_zone=zone
        )
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        return await _page(visit, profile=form, password=Form(), status=422)
    return visit.redirect(url("account"), "saved")


async def set_password(visit: Visit) -> Answer:
    """Changes the password, if the old one is right, and ends all other sessions."""
    # A session alone sets no first password: that takes a link.
    if not visit.parts.settings.local_accounts or not visit.me.has_password:
        return problems.no_password(visit)
    form = Form()
    status = await _check_password(visit, form)
    if status:
        return await _page(visit, profile=_profile(visit), password=form, status=status)
    try:
        await visit.parts.books.accounts.set_password(
            visit.origin, visit.me.id, visit.fields.raw("new_password"), visit.signed_in.id
        )
    except FieldInvalid as error:
        form.errors["new_password"] = str(error)
        return await _page(visit, profile=_profile(visit), password=form, status=422)
    await signing_in.begin(visit, visit.me, visit.signed_in.method)
    return visit.redirect(url("account"), "password-changed")


async def _check_password(visit: Visit, form: Form) -> int:
    # The status of a refusal; 0: the password is right. Whoever finds the browser open can't guess on.
    per = visit.parts.settings.sign_in.per
    limits = [Limit(f"password {visit.me.id}", 5, per)]
    attempts = visit.parts.books.attempts
    wait = await attempts.wait(limits) or await attempts.count(limits)
    if wait:
        form.problem = signing_in.too_many(wait)
        return 429
    current = visit.fields.raw("current_password")
    if await visit.parts.books.accounts.check_password(visit.me.email, current) is None:
        form.errors["current_password"] = "That is not your password."
        return 422
    await attempts.forget(limits)
    return 0


async def end_session(visit: Visit) -> Answer:
    """Ends one of the person's sessions."""
    if visit.path["session"] == visit.signed_in.id:
        return await signing_in.sign_out(visit)
    await visit.parts.books.sessions.end(visit.origin, visit.me.id, visit.path["session"])
    return visit.redirect(url("account"), "session-ended")


async def end_other_sessions(visit: Visit) -> Answer:
    """Ends all sessions but this one."""
    await visit.parts.books.sessions.end_others(visit.origin, visit.me.id, visit.signed_in.id)
    return visit.redirect(url("account"), "sessions-ended")


def browser(user_agent: str) -> str:
    """Returns a browser's name for people, such as "Firefox on Linux"; empty if it gives none."""
    name = next((name for mark, name in _BROWSERS if mark in user_agent), "Unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if system:
        return f"{name} on {system}"
    if name == "Unknown browser":
        return re.split(r"[/\s]", user_agent)[0][:40]
    return name


def _profile(visit: Visit) -> Form:
    return Form({"name": visit.me.name, "time_zone": visit.me.time_zone})


async def _page(visit: Visit, *, profile: Form, password: Form, status: int = 200) -> Answer:
    return await visit.page(
        "account.html",
        status,
        section="account",
        profile=profile,
        password=password,
        sessions=await visit.parts.books.sessions.of_person(visit.me.id),
        current_id=visit.signed_in.id,
        browser=browser,
        time_zones=TIME_ZONES,
    )
