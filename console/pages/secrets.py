"""New secrets: creating a key, rotating one, and the one page that shows the secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from console import key_views, submitting
from console.forms import Form
from console.paths import url
from console.snippets import snippets
from console.visit import Visit
from console.words import receipt
from keyauthority.base.http.answer import Answer
from keyauthority.client import Secret
from keyauthority.client.admin import (
    Key,
    KeySettings,
    RefusedError,
    SpreadingError,
    UnavailableError,
    keys,
)

_LONGEST_SCOPES: Final = 32 * 129
"""Characters of as many and as long scopes as a key may have."""
_FIELDS: Final = ("name", "expires", "expire_date", "access", "scopes")
_OVERLAPS: Final = {
    "0": timedelta(),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


async def show_create(visit: Visit) -> Answer:
    """Shows the form; a replacement comes with the old key's name and scopes."""
    values = {"name": visit.query("name", 100), "scopes": visit.query("scopes", _LONGEST_SCOPES)}
    form = Form({**values, "expires": "90d", "expire_date": ""})
    form.keep_secrets_out()
    return await _create_page(visit, form)


async def create(visit: Visit) -> Answer:
    """Creates the key and shows its secret."""
    form = visit.fields.form(_FIELDS)
    scopes = submitting.scopes(visit, form)
    form.keep_secrets_out()
    end = submitting.expiry(visit, form)
    if not form.values["name"] and "name" not in form.errors:
        form.errors["name"] = (
            "Give the key a name that says what uses it, such as “billing worker”."
        )
    if not form.ok:
        return await _create_page(visit, form, 422)
    settings = KeySettings(
        form.values["name"],
        expire_time=end if isinstance(end, datetime) else None,
        scopes=scopes,
    )
    ttl = end if isinstance(end, timedelta) else None
    try:
        request_id = await submitting.begin(visit, "create")
        issued = await visit.authority.call(
            keys.issue(visit.workspace_id, settings, ttl=ttl, request_id=request_id)
        )
    except (RefusedError, UnavailableError) as error:
        return await _create_page(visit, form, submitting.refuse(form, error))
    except submitting.OverError as over:
        return await _answered_before(visit, form, over.key_id, _create_page)
    return await _secret_page(visit, "created", issued.key, issued.secret)


async def show_rotate(visit: Visit) -> Answer:
    """Shows the form."""
    return await _rotate_page(visit, Form({"overlap": "24h"}))


async def rotate(visit: Visit) -> Answer:
    """Gives the key a new secret and shows it. The old one works on for the time chosen."""
    form = visit.fields.form(["overlap"])
    overlap = _OVERLAPS.get(form.values["overlap"])
    if overlap is None:
        form.errors["overlap"] = "Choose how long the old secret goes on working."
        return await _rotate_page(visit, form, 422)
    try:
        key = await visit.authority.key(visit.workspace_id, visit.path["key"])
        request_id = await submitting.begin(visit, f"rotate {key.id}")
        rotated = await visit.authority.call(keys.rotate(key.id, overlap, request_id=request_id))
    except (RefusedError, UnavailableError) as error:
        return await _rotate_page(visit, form, submitting.refuse(form, error))
    except SpreadingError as error:
        form.problem = (
            "The new secret is created, and the old one stops working everywhere within "
            f"{error.seconds} s. Press the button again to see the new one."
        )
        return await _rotate_page(visit, form, 503)
    except submitting.OverError as over:
        return await _answered_before(visit, form, over.key_id, _rotate_page)
    stopped = None if overlap else receipt(rotated.receipt)
    return await _secret_page(visit, "rotated", rotated.key, rotated.secret, stopped)


async def stored(visit: Visit) -> Answer:
    """Ends the showing of the secret: the person has stored it."""
    await visit.parts.books.submissions.close(visit.signed_in.id, visit.path["key"])
    return visit.redirect(url("keys", workspace=visit.workspace_id), "stored")


async def _create_page(visit: Visit, form: Form, status: int = 200, form_id: str = "") -> Answer:
    return await visit.page(
        "key_new.html",
        status,
        section="keys",
        form=form,
        form_id=form_id or _form_id(visit),
        catalogue=visit.parts.settings.scope_rules,
    )


async def _rotate_page(visit: Visit, form: Form, status: int = 200, form_id: str = "") -> Answer:
    return await visit.page(
        "key_rotate.html",
        status,
        section="keys",
        form=form,
        key=await submitting.key_row(visit),
        form_id=form_id or _form_id(visit),
    )


def _form_id(visit: Visit) -> str:
    return visit.fields.get("request_id") or submitting.new_request_id()


async def _secret_page(
    visit: Visit, kind: str, key: Key, secret: Secret, receipt: str | None = None
) -> Answer:
    await submitting.answered(visit, key.id)
    api_url = visit.parts.settings.api_url.rstrip("/") + "/v1"
    # A receipt says that the old secret has stopped already.
    old = key.secrets[1] if len(key.secrets) > 1 and receipt is None else None
    return await visit.page(
        "key_secret.html",
        section="keys",
        kind=kind,
        key=key_views.row(key, visit.now),
        secret=secret.reveal(),
        snippets=snippets(api_url, secret),
        old_end_time=old.end_time if old is not None else None,
        receipt=receipt,
    )


async def _answered_before(
    visit: Visit,
    form: Form,
    key_id: str,
    page: Callable[[Visit, Form, int, str], Awaitable[Answer]],
) -> Answer:
    # The first answer may have shown a secret, which is not shown again.
    if not key_id:
        form.problem = submitting.SPENT
        return await page(visit, form, 409, submitting.new_request_id())
    key = await visit.authority.key(visit.workspace_id, key_id)
    row = key_views.row(key, visit.now)
    return await visit.page("key_made.html", 409, section="keys", key=row)
