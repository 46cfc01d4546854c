"""Creating a key: the form, and the key."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from console import key_form, submitting
from console.forms import Form
from console.pages import problems, secret
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import KeySettings, RefusedError, UnavailableError, keys

_MOST_SCOPES: Final = 32 * 129
"""Characters of as many and as long scopes as a key may have."""
_FIELDS: Final = ("name", "expires", "expire_date", "scopes")


async def show(visit: Visit) -> Answer:
    """The form; a replacement comes with the old key's name and scopes."""
    asked = {"name": visit.asked("name", 100), "scopes": visit.asked("scopes", _MOST_SCOPES)}
    form = Form({**asked, "expires": "90d", "expire_date": ""})
    form.keep_secrets_out()
    return await _page(visit, form)


async def submit(visit: Visit) -> Answer:
    """Makes the key and shows its secret."""
    form = visit.fields.form(_FIELDS)
    form.keep_secrets_out()
    end = key_form.expiry(visit, form)
    if not form.values["name"] and "name" not in form.errors:
        form.errors["name"] = (
            "Give it a name that says what uses it, for instance “billing worker”."
        )
    if not form.ok:
        return await _page(visit, form, 422)
    try:
        request_id = await submitting.begun(visit, "create")
        issued = await visit.authority.call(
            keys.issue(
                visit.workspace_id,
                KeySettings(
                    form.values["name"],
                    expire_time=end if isinstance(end, datetime) else None,
                    scopes=tuple(key_form.scopes(form)),
                ),
                ttl=end if isinstance(end, timedelta) else None,
                request_id=request_id,
            )
        )
    except RefusedError as error:
        key_form.refuse(form, error)
        return await _page(visit, form, 422)
    except submitting.OverError as over:
        return await secret.sent_before(visit, form, over.key_id, _page)
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, form, 503)
    return await secret.show(visit, "created", issued.key, issued.secret)


async def _page(visit: Visit, form: Form, status: int = 200, form_id: str = "") -> Answer:
    return await visit.page(
        "key_new.html",
        status,
        section="keys",
        form=form,
        form_id=form_id or visit.fields.one("request_id") or submitting.new_request_id(),
    )
