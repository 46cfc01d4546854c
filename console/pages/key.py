"""One key: its page, editing it, pausing and resuming it, and revoking it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from console import key_views, spending, submitting
from console.forms import Form
from console.key_views import KeyRow
from console.moments import end_of_day, last_day, zone_of
from console.paths import url
from console.visit import Visit
from console.words import REASONS, receipt
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import (
    Key,
    KeySettings,
    KeyState,
    Reason,
    RefusedError,
    RevocationReason,
    SpreadingError,
    UnavailableError,
    keys,
)

_FIELDS: Final = ("name", "expires", "expire_date", "access", "scopes", "etag")
_SETTINGS: Final = frozenset({"name", "expire_time", "scopes"})
"""The settings that the form has."""
_REASONS: Final = {reason.value: RevocationReason[reason.value.upper()] for reason in REASONS}
_MEANWHILE: Final = (
    "Somebody else changed this key while you were typing. Look at it in another tab, then save "
    "again if your values are still right."
)


async def show(visit: Visit) -> Answer:
    """Shows the key."""
    record = await _key(visit)
    key = key_views.details(record, visit.now, await spending.of_keys(visit))
    return await visit.page("key.html", section="keys", key=key)


async def show_edit(visit: Visit) -> Answer:
    """Shows the form with the key's settings."""
    key = await _key(visit)
    if key.state is KeyState.REVOKED:
        return _to_key(visit)
    end = key.settings.expire_time
    values = {
        "name": key.settings.name,
        "expires": "never" if end is None else "date",
        "expire_date": _last_day(visit, end),
        "scopes": " ".join(key.settings.scopes),
        "etag": key.etag,
    }
    return await _edit_page(visit, Form(values), submitting.remember(visit, key))


async def edit(visit: Visit) -> Answer:
    """Changes the key, unless somebody else did meanwhile."""
    form = visit.fields.form(_FIELDS)
    scopes = submitting.scopes(visit, form)
    form.keep_secrets_out()
    if not form.values["name"] and "name" not in form.errors:
        form.errors["name"] = "A key needs a name."
    try:
        key = await _key(visit)
        settings, names = _edited(visit, form, scopes, key)
        if not form.ok:
            return await _edit_page(visit, form, submitting.remember(visit, key), 422)
        await visit.authority.call(
            keys.update(key.id, settings, sorted(names), etag=form.values["etag"])
        )
    except SpreadingError:
        return _to_key(visit, "spreading")
    except (RefusedError, UnavailableError) as error:
        status = submitting.refuse(form, error)
        if error.reason is Reason.ETAG_MISMATCH:
            if _SETTINGS.isdisjoint(key.settings.differing(settings)):
                # An earlier try succeeded, and only its answer was lost.
                return _to_key(visit, "saved")
            form.problem, form.values["etag"] = _MEANWHILE, key.etag
        return await _edit_page(visit, form, await submitting.key_row(visit), status)
    return _to_key(visit, "saved")


async def pause(visit: Visit) -> Answer:
    """Pauses the key."""
    return await _set_disabled(visit, disabled=True)


async def resume(visit: Visit) -> Answer:
    """Resumes the key."""
    return await _set_disabled(visit, disabled=False)


async def show_revoke(visit: Visit) -> Answer:
    """Shows the form; its button is the confirmation."""
    return await _revoke_page(visit, Form({"reason": "", "note": ""}))


async def revoke(visit: Visit) -> Answer:
    """Revokes the key. No verifier anywhere accepts it once this is answered."""
    form = visit.fields.form(["reason", "note"])
    form.keep_secrets_out()
    if form.values["reason"] not in _REASONS:
        form.errors["reason"] = "Choose why the key is revoked."
    if not form.values["note"] and "note" not in form.errors:
        form.errors["note"] = "Say in a few words what happened. Members read it in the activity."
    if not form.ok:
        return await _revoke_page(visit, form, 422)
    reason = _REASONS[form.values["reason"]]
    try:
        key = await _key(visit)
        revoked = await visit.authority.call(keys.revoke(key.id, reason, form.values["note"]))
    except (RefusedError, UnavailableError) as error:
        return await _revoke_page(visit, form, submitting.refuse(form, error))
    except SpreadingError as error:
        spreading = f"The key is revoked, and stops working everywhere within {error.seconds} s."
        return await _revoked_page(visit, key, None, spreading)
    return await _revoked_page(visit, revoked.record, receipt(revoked.receipt), None)


async def _key(visit: Visit) -> Key:
    return await visit.authority.key(visit.workspace_id, visit.path["key"])


async def _set_disabled(visit: Visit, *, disabled: bool) -> Answer:
    key = await _key(visit)
    if key.state is KeyState.REVOKED:
        return _to_key(visit)
    try:
        await visit.authority.call(
            keys.update(key.id, replace(key.settings, disabled=disabled), ["disabled"])
        )
    except SpreadingError:
        return _to_key(visit, "spreading")
    except RefusedError:
        # The key was revoked meanwhile, and its page says so.
        return _to_key(visit)
    return _to_key(visit, "paused" if disabled else "resumed")


def _edited(
    visit: Visit, form: Form, scopes: tuple[str, ...], key: Key
) -> tuple[KeySettings, frozenset[str]]:
    # The new settings, and the names of those to write. Boxes come in the order of the page.
    if sorted(scopes) == sorted(key.settings.scopes):
        scopes = key.settings.scopes
    settings = replace(key.settings, name=form.values["name"], scopes=scopes)
    day = _last_day(visit, settings.expire_time)
    if form.values["expires"] == "date" and form.values["expire_date"] == day:
        # Another change doesn't move the expiry to the end of its day.
        return settings, _SETTINGS - {"expire_time"}
    end = submitting.expiry(visit, form)
    end = visit.now + end if isinstance(end, timedelta) else end
    return replace(settings, expire_time=end), _SETTINGS


def _last_day(visit: Visit, end: datetime | None) -> str:
    return "" if end is None else last_day(end, zone_of(visit.me.time_zone))


def _midday(visit: Visit, end: datetime | None) -> datetime | None:
    # A key made for a number of days, or elsewhere, expires before the end of its last day.
    if end is None or end == end_of_day(_last_day(visit, end), zone_of(visit.me.time_zone)):
        return None
    return end


def _to_key(visit: Visit, notice: str = "") -> Answer:
    href = url("key", workspace=visit.workspace_id, key=visit.path["key"])
    return visit.redirect(href, notice)


async def _edit_page(visit: Visit, form: Form, key: KeyRow, status: int = 200) -> Answer:
    return await visit.page(
        "key_edit.html",
        status,
        section="keys",
        form=form,
        key=key,
        catalogue=visit.parts.settings.scope_rules,
        midday=_midday(visit, key.expire_time),
    )


async def _revoke_page(visit: Visit, form: Form, status: int = 200) -> Answer:
    key = await submitting.key_row(visit)
    return await visit.page("key_revoke.html", status, section="keys", form=form, key=key)


async def _revoked_page(
    visit: Visit, key: Key, receipt: str | None, spreading: str | None
) -> Answer:
    return await visit.page(
        "key_revoked.html",
        section="keys",
        key=key_views.details(key, visit.now),
        leaked=visit.fields.get("reason") == "compromised",
        receipt=receipt,
        spreading=spreading,
    )
