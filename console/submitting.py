"""Submitted forms: their fields are checked, refusals shown, and each has one result.

A form that makes something makes it once, however often it is sent. Its answer is shown again to the same form until the
person opens another page, presses "I have stored it", or ten minutes have passed: a reload, a second
click or a lost connection loses nothing, and the back button brings no secret back.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Final

from console import key_views, security
from console.forms import Form
from console.key_views import KeyRow
from console.moments import end_of_day, zone_of
from console.people import FieldInvalid, SubmissionState
from console.visit import Visit
from keyauthority.client.admin import Key, Reason, RefusedError, UnavailableError

_PRESETS: Final = {
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=365),
}
_ABOUT: Final = {"expire_time": "that day", "name": "the name", "note": "the note"}
_FIELD_OF: Final = {"expire_time": "expire_date", "ttl": "expires", "scopes": "scopes"}

AWAY: Final = (
    "The key authority doesn’t answer at the moment. Nothing you typed is lost: press the button "
    "again in a moment. Pressing it twice does no harm."
)
"""The problem of a form that is shown again because the authority is away."""

SPENT: Final = (
    "This form was sent before, and its result is no longer known. Nothing was done just now. Look "
    "at the list of keys first, then press the button again if you still need to."
)
"""The problem of a form that was sent before, too long ago for its result to be known."""

_is_request_id: Final = re.compile(r"[A-Za-z0-9_-]{16,64}").fullmatch


def scopes(visit: Visit, form: Form) -> tuple[str, ...]:
    """Returns the scopes that are ticked, and those that are typed; none for full access.

    The form's `scopes` is the text of both. Where nothing is chosen it has an error: a key must not get
    full access because somebody unticked all it could do.
    """
    ticked = visit.fields.all("scope")
    typed = [scope for scope in re.split(r"[\s,]+", form.values["scopes"]) if scope]
    chosen = (*ticked, *(scope for scope in typed if scope not in ticked))
    form.values["scopes"] = " ".join(chosen)
    if form.values["access"] == "full":
        return ()
    if form.values["access"] != "limited":
        form.errors["access"] = "Choose what the key may do."
    elif not chosen:
        form.errors["access"] = "Choose at least one scope, or let the key do everything."
    return chosen


def expiry(visit: Visit, form: Form) -> datetime | timedelta | None:
    """Returns when the key is to expire; puts an error beside a choice that can't be."""
    choice = form.values["expires"]
    if choice in _PRESETS:
        return _PRESETS[choice]
    if choice == "date":
        return _end_of_day(visit, form)
    if choice != "never":
        form.errors["expires"] = "Choose when the key expires."
    return None


def refuse(form: Form, error: RefusedError | UnavailableError) -> int:
    """Puts the authority's refusal beside its field, or says that it is away; returns the status."""
    if isinstance(error, UnavailableError):
        form.problem = AWAY
        return 503
    field = error.field.partition("[")[0]
    field = _FIELD_OF.get(field, field)
    if error.reason is Reason.WORKSPACE_SUSPENDED:
        form.problem = (
            "The workspace is suspended: no key can be created in it until it is resumed."
        )
    elif error.reason is Reason.REQUEST_ID_REUSED:
        form.problem = (
            "This form has created a key already. Look at the list, then open the form again."
        )
    elif field in form.values:
        form.errors[field] = sentence(error)
    else:
        form.problem = sentence(error)
    return 422


def sentence(error: RefusedError) -> str:
    """Returns the authority's refusal as a sentence without the names of its fields."""
    about, text = _ABOUT.get(error.field), error.message
    if about and text.startswith(error.field + " "):
        text = about + text.removeprefix(error.field)
    return f"{text[:1].upper()}{text[1:]}."


async def key_row(visit: Visit) -> KeyRow:
    """Returns the key of the path; in a form shown again its last known name, if need be."""
    key_id = visit.path["key"]
    try:
        return remember(visit, await visit.authority.key(visit.workspace_id, key_id))
    except UnavailableError:
        if visit.reading:
            raise
        name = visit.parts.names.get(f"{visit.workspace_id}/{key_id}")
        return key_views.last_known(visit.workspace_id, key_id, name, visit.now)


def remember(visit: Visit, key: Key) -> KeyRow:
    """Returns the key for a form, whose name is remembered for while the authority is away."""
    visit.parts.names.remember(f"{visit.workspace_id}/{key.id}", key.settings.name)
    return key_views.row(key, visit.now)


def new_request_id() -> str:
    """Returns the id that makes one showing of a form one request, however often it is sent."""
    return secrets.token_urlsafe(18)


class OverError(Exception):
    """The form was answered before. `key_id` is what it made; empty if that is not known."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


async def begin(visit: Visit, purpose: str, *, once: bool = False) -> str:
    """Returns the request id for the authority.

    It is derived from the form's id and the session: nobody can ask for another person's answer.

    Raises:
        OverError: The answer is no longer shown; with *once*, the form was sent before.
    """
    workspace_id = visit.path.get("workspace", "")
    request_id = visit.fields.get("request_id")
    if not _is_request_id(request_id):
        raise OverError("")
    try:
        submission = await visit.parts.books.submissions.begin(
            visit.signed_in.id, request_id, purpose, workspace_id
        )
    except FieldInvalid:
        # The id belongs to another form.
        raise OverError("") from None
    over = submission.state is SubmissionState.CLOSED
    if over or (once and submission.state is not SubmissionState.NEW):
        raise OverError(submission.key_id)
    return security.derive(visit.cookie, f"{purpose} {workspace_id} {request_id}")


async def answered(visit: Visit, key_id: str) -> None:
    """Notes what the form made: a key, a secret of one, or a workspace."""
    request_id = visit.fields.get("request_id")
    await visit.parts.books.submissions.answered(visit.signed_in.id, request_id, key_id)


def _end_of_day(visit: Visit, form: Form) -> datetime | None:
    try:
        end = end_of_day(form.values["expire_date"], zone_of(visit.me.time_zone))
    except ValueError as error:
        form.errors["expire_date"] = str(error)
        return None
    if end <= visit.now:
        form.errors["expire_date"] = "That day is over. Choose a later one."
        return None
    return end
