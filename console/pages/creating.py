"""Creating a key: the form, and the secret, once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from console import key_views, submitting
from console.dates import end_of_day
from console.forms import Form
from console.moments import zone_of
from console.pages import problems
from console.paths import url
from console.snippets import snippets
from console.views import Receipt
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client import Secret
from keyauthority.client.admin import Key, Reason, RefusedError, UnavailableError, keys

PRESETS: Final = {
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=365),
}
Page: TypeAlias = Callable[[Visit, Form, int, str], Awaitable[Answer]]

_MOST_SCOPES: Final = 32 * 129
"""Characters of as many and as long scopes as a key may have."""
_FIELDS: Final = ("name", "expires", "expire_date", "scopes")
_ABOUT: Final = {"expire_time": "that day", "name": "the name", "note": "the note"}
_FIELD_OF: Final = {"expire_time": "expire_date", "ttl": "expires", "scopes": "scopes"}


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
    end = expiry(visit, form)
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
                form.values["name"],
                expires=end,
                scopes=scopes(form),
                request_id=request_id,
            )
        )
    except RefusedError as error:
        refuse(form, error)
        return await _page(visit, form, 422)
    except submitting.OverError as over:
        return await sent_before(visit, form, over.key_id, _page)
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, form, 503)
    return await secret_page(visit, "created", issued.key, issued.secret)


async def sent_before(visit: Visit, form: Form, key_id: str, page: Page) -> Answer:
    """The form was answered before, with a secret that isn't shown again; or nobody knows."""
    if not key_id:
        form.problem = problems.SPENT
        return await page(visit, form, 409, submitting.new_request_id())
    key = await visit.authority.key(visit.workspace_id, key_id)
    row = key_views.row(key, visit.now)
    return await visit.page("key_made.html", 409, section="keys", key=row)


async def secret_page(
    visit: Visit,
    kind: str,
    key: Key,
    secret: Secret,
    receipt: Receipt | None = None,
) -> Answer:
    """The one page that shows a secret."""
    await submitting.answered(visit, key.id)
    api_url = visit.parts.settings.api_url.rstrip("/") + "/v1"
    # With a receipt the old one has stopped already.
    old = key.secrets[1] if len(key.secrets) > 1 and receipt is None else None
    return await visit.page(
        "key_secret.html",
        section="keys",
        kind=kind,
        key=key_views.row(key, visit.now),
        secret=secret.reveal(),
        api_url=api_url,
        snippets=snippets(api_url, secret),
        old_end_time=old.end_time if old is not None else None,
        receipt=receipt,
        stored_action=url("key_stored", workspace=key.workspace_id, key=key.id),
    )


async def stored(visit: Visit) -> Answer:
    """The person has the secret: it isn't shown again."""
    await visit.parts.books.submissions.close(visit.signed_in.id, visit.path["key"])
    return visit.redirect(url("keys", workspace=visit.workspace_id), "stored")


def scopes(form: Form) -> list[str]:
    """The scopes that were typed, by spaces, commas or lines."""
    return [one for one in re.split(r"[\s,]+", form.values["scopes"]) if one]


def expiry(visit: Visit, form: Form) -> datetime | timedelta | None:
    """When the key is to end; what is wrong with it goes into the form."""
    chosen = form.values["expires"]
    if chosen in PRESETS:
        return PRESETS[chosen]
    if chosen == "date":
        return _end_of_day(visit, form)
    if chosen != "never":
        form.errors["expires"] = "Choose when it ends."
    return None


def refuse(form: Form, error: RefusedError) -> None:
    """Puts what the authority says beside the field it is about."""
    field = error.field.partition("[")[0]
    field = _FIELD_OF.get(field, field)
    if error.reason is Reason.WORKSPACE_SUSPENDED:
        form.problem = "The workspace is suspended: no key can be made in it until it is resumed."
    elif error.reason is Reason.REQUEST_ID_REUSED:
        form.problem = (
            "This form has made a key already. Look at the list, and open the form again."
        )
    elif field in form.values:
        form.errors[field] = said(error)
    else:
        form.problem = said(error)


def said(error: RefusedError) -> str:
    """What the authority says, as a sentence that doesn't name its fields."""
    about, text = _ABOUT.get(error.field), error.message
    if about and text.startswith(error.field + " "):
        text = about + text.removeprefix(error.field)
    return f"{text[:1].upper()}{text[1:]}."


def _end_of_day(visit: Visit, form: Form) -> datetime | None:
    try:
        end = end_of_day(form.values["expire_date"], zone_of(visit.me.time_zone))
    except ValueError as error:
        form.errors["expire_date"] = str(error)
        return None
    if end <= visit.now:
        form.errors["expire_date"] = "That day is over: choose a later one."
        return None
    return end


async def _page(visit: Visit, form: Form, status: int = 200, form_id: str = "") -> Answer:
    return await visit.page(
        "key_new.html",
        status,
        section="keys",
        form=form,
        form_id=form_id or visit.fields.one("request_id") or submitting.new_request_id(),
    )
