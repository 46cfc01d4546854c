"""Revoking a key: why, and how far it has spread when the page comes back."""

from __future__ import annotations

from typing import Final

from console import key_form, key_views
from console.forms import Form
from console.pages import problems
from console.pages.keys import activity_of, known, replacement_of
from console.receipts import receipt
from console.views import Receipt
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import Key, RefusedError, SpreadingError, UnavailableError, keys

_REASONS: Final = {name: reason for reason, name in key_views.REASONS.items()}


async def show(visit: Visit) -> Answer:
    """The form; its button is the confirmation."""
    return await _page(visit, Form({"reason": "", "note": ""}))


async def submit(visit: Visit) -> Answer:
    """Revokes the key. When this is answered no verifier anywhere accepts it."""
    form = visit.fields.form(["reason", "note"])
    form.keep_secrets_out()
    if form.values["reason"] not in _REASONS:
        form.errors["reason"] = "Choose why: it is what others will want to know."
    if not form.values["note"] and "note" not in form.errors:
        form.errors["note"] = "Say in a few words what happened: it is kept in the activity."
    if not form.ok:
        return await _page(visit, form, 422)
    reason = _REASONS[form.values["reason"]]
    try:
        key = await visit.authority.key(visit.workspace_id, visit.path["key"])
        revoked = await visit.authority.call(keys.revoke(key.id, reason, form.values["note"]))
    except RefusedError as error:
        key_form.refuse(form, error)
        return await _page(visit, form, 422)
    except SpreadingError as error:
        spreading = f"It is revoked, and stops everywhere within {error.seconds} s."
        return await _revoked(visit, key, None, spreading)
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, form, 503)
    return await _revoked(visit, revoked.record, receipt(revoked.receipt), None)


async def _revoked(visit: Visit, key: Key, told: Receipt | None, spreading: str | None) -> Answer:
    return await visit.page(
        "key_revoked.html",
        section="keys",
        key=key_views.row(key, visit.now),
        leaked=visit.fields.one("reason") == "compromised",
        receipt=told,
        spreading=spreading,
        activity_href=activity_of(visit, key.id),
        replace_href=replacement_of(visit, key.settings.name, key.settings.scopes),
    )


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    return await visit.page(
        "key_revoke.html", status, section="keys", form=form, key=await known(visit)
    )
