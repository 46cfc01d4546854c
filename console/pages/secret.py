"""After a secret was made: the one page that shows it, and what follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from console import key_views, submitting
from console.forms import Form
from console.pages import problems
from console.paths import url
from console.snippets import snippets
from console.views import Receipt
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client import Secret
from keyauthority.client.admin import Key

Page: TypeAlias = Callable[[Visit, Form, int, str], Awaitable[Answer]]


async def show(
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


async def sent_before(visit: Visit, form: Form, key_id: str, page: Page) -> Answer:
    """The form was answered before, with a secret that isn't shown again; or nobody knows."""
    if not key_id:
        form.problem = problems.SPENT
        return await page(visit, form, 409, submitting.new_request_id())
    key = await visit.authority.key(visit.workspace_id, key_id)
    row = key_views.row(key, visit.now)
    return await visit.page("key_made.html", 409, section="keys", key=row)


async def stored(visit: Visit) -> Answer:
    """The person has the secret: it isn't shown again."""
    await visit.parts.books.submissions.close(visit.signed_in.id, visit.path["key"])
    return visit.redirect(url("keys", workspace=visit.workspace_id), "stored")
