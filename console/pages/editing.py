"""Changing what a key is called, may do and until when; pausing it and letting it go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from console import key_form
from console.forms import Form
from console.moments import end_of_day, last_day, zone_of
from console.pages import problems
from console.pages.keys import known, remembered
from console.paths import url
from console.views import KeyRow
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import (
    Call,
    Changed,
    Key,
    KeySettings,
    KeyState,
    Reason,
    RefusedError,
    SpreadingError,
    UnavailableError,
    keys,
)

_FIELDS: Final = ("name", "expires", "expire_date", "scopes", "etag")
_SETTINGS: Final = frozenset({"name", "expire_time", "scopes"})
"""Those that the form has."""
_MEANWHILE: Final = (
    "Somebody changed this key while you were typing. Look at it in another tab, then save again "
    "if yours is still right."
)


async def show(visit: Visit) -> Answer:
    """The form, with what the key is now."""
    key = await visit.authority.key(visit.workspace_id, visit.path["key"])
    if key.state is KeyState.REVOKED:
        return visit.redirect(_href(visit))
    end = key.settings.expire_time
    values = {
        "name": key.settings.name,
        "expires": "never" if end is None else "date",
        "expire_date": _last_day(visit, end),
        "scopes": " ".join(key.settings.scopes),
        "etag": key.etag,
    }
    return await _page(visit, Form(values), remembered(visit, key))


async def submit(visit: Visit) -> Answer:
    """Changes the key, unless somebody else did meanwhile."""
    form = visit.fields.form(_FIELDS)
    form.keep_secrets_out()
    if not form.values["name"] and "name" not in form.errors:
        form.errors["name"] = "A key needs a name."
    try:
        key = await visit.authority.key(visit.workspace_id, visit.path["key"])
        edit = _edit(visit, form, key)
        if not form.ok:
            return await _page(visit, form, remembered(visit, key), 422)
        await visit.authority.call(edit.of(key, form.values["etag"]))
    except RefusedError as error:
        if error.reason is Reason.ETAG_MISMATCH and edit.is_made(key):
            # An earlier try got through, and only its answer was lost.
            return visit.redirect(_href(visit), "saved")
        if error.reason is Reason.ETAG_MISMATCH:
            form.problem, form.values["etag"] = _MEANWHILE, key.etag
        else:
            key_form.refuse(form, error)
        return await _page(visit, form, await known(visit), 422)
    except SpreadingError:
        return visit.redirect(_href(visit), "spreading")
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, form, await known(visit), 503)
    return visit.redirect(_href(visit), "saved")


async def pause(visit: Visit) -> Answer:
    """Has the key refused until it is resumed."""
    return await _set_disabled(visit, disabled=True)


async def resume(visit: Visit) -> Answer:
    """Lets a paused key go on."""
    return await _set_disabled(visit, disabled=False)


async def _set_disabled(visit: Visit, *, disabled: bool) -> Answer:
    key = await visit.authority.key(visit.workspace_id, visit.path["key"])
    if key.state is KeyState.REVOKED:
        return visit.redirect(_href(visit))
    try:
        await visit.authority.call(
            keys.update(key.id, replace(key.settings, disabled=disabled), ["disabled"])
        )
    except SpreadingError:
        return visit.redirect(_href(visit), "spreading")
    except RefusedError:
        # Revoked meanwhile: its page says so.
        return visit.redirect(_href(visit))
    return visit.redirect(_href(visit), "paused" if disabled else "resumed")


@dataclass(frozen=True, slots=True)
class _Edit:
    """What the form says of a key; it `moves_expiry` unless the day in it is the key's already."""

    settings: KeySettings
    moves_expiry: bool

    def of(self, key: Key, etag: str) -> Call[Changed[Key]]:
        """The call that makes *key* so, if it still has the *etag*."""
        names = _SETTINGS if self.moves_expiry else _SETTINGS - {"expire_time"}
        return keys.update(key.id, self.settings, sorted(names), etag=etag)

    def is_made(self, key: Key) -> bool:
        """Whether *key* is so already."""
        return _SETTINGS.isdisjoint(key.settings.differing(self.settings))


def _edit(visit: Visit, form: Form, key: Key) -> _Edit:
    name, named_scopes = form.values["name"], tuple(key_form.scopes(form))
    new = replace(key.settings, name=name, scopes=named_scopes)
    day = _last_day(visit, new.expire_time)
    if form.values["expires"] == "date" and form.values["expire_date"] == day:
        # Not moved to the end of its day because something else was changed.
        return _Edit(new, moves_expiry=False)
    end = key_form.expiry(visit, form)
    end = visit.now + end if isinstance(end, timedelta) else end
    return _Edit(replace(new, expire_time=end), moves_expiry=True)


def _last_day(visit: Visit, end: datetime | None) -> str:
    return "" if end is None else last_day(end, zone_of(visit.me.time_zone))


def _midday(visit: Visit, end: datetime | None) -> datetime | None:
    # Keys made for so many days, or elsewhere, end before their last day does.
    if end is None or end == end_of_day(_last_day(visit, end), zone_of(visit.me.time_zone)):
        return None
    return end


def _href(visit: Visit) -> str:
    return url("key", workspace=visit.workspace_id, key=visit.path["key"])


async def _page(visit: Visit, form: Form, key: KeyRow, status: int = 200) -> Answer:
    return await visit.page(
        "key_edit.html",
        status,
        section="keys",
        form=form,
        etag=form.values["etag"],
        key=key,
        midday=_midday(visit, key.expire_time),
    )
