"""Rotating a key: a new secret, while the old one works on for as long as it takes to replace it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from console import key_form, submitting
from console.forms import Form
from console.pages import problems, secret
from console.pages.keys import known
from console.receipts import receipt
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import RefusedError, SpreadingError, UnavailableError, keys

OVERLAPS: Final = {
    "0": timedelta(),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


async def show(visit: Visit) -> Answer:
    """The form."""
    return await _page(visit, Form({"overlap": "24h"}))


async def submit(visit: Visit) -> Answer:
    """Gives the key its new secret and shows it."""
    form = visit.fields.form(["overlap"])
    overlap = OVERLAPS.get(form.values["overlap"])
    if overlap is None:
        form.errors["overlap"] = "Choose how long the old secret goes on working."
        return await _page(visit, form, 422)
    try:
        key = await visit.authority.key(visit.workspace_id, visit.path["key"])
        request_id = await submitting.begun(visit, f"rotate {key.id}")
        rotated = await visit.authority.call(keys.rotate(key.id, overlap, request_id=request_id))
    except RefusedError as error:
        key_form.refuse(form, error)
        return await _page(visit, form, 422)
    except SpreadingError as error:
        form.problem = (
            f"The new secret is made, and the old one stops everywhere within {error.seconds} s. "
            "Press the button again to see the new one."
        )
        return await _page(visit, form, 503)
    except submitting.OverError as over:
        return await secret.sent_before(visit, form, over.key_id, _page)
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, form, 503)
    stopped = None if overlap else receipt(rotated.receipt)
    return await secret.show(visit, "rotated", rotated.key, rotated.secret, stopped)


async def _page(visit: Visit, form: Form, status: int = 200, form_id: str = "") -> Answer:
    return await visit.page(
        "key_rotate.html",
        status,
        section="keys",
        form=form,
        key=await known(visit),
        form_id=form_id or visit.fields.one("request_id") or submitting.new_request_id(),
    )
