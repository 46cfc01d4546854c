"""Forms that make something: sent twice they make nothing twice, and show a secret no more.

The first answer is shown again to the same form only until the person goes anywhere else, says "I
have stored it", or ten minutes have passed: a reload, a second click or a lost connection loses
nothing, and the back button brings nothing back.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from console import security
from console.people import FieldInvalid, SubmissionState
from console.visit import Visit

_is_request_id: Final = re.compile(r"[A-Za-z0-9_-]{16,64}").fullmatch


def new_request_id() -> str:
    """What makes one showing of a form one request, however often it is sent."""
    return secrets.token_urlsafe(18)


class OverError(Exception):
    """The form's answer was given, and is over. `key_id` says what it made, if that is known."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


async def begun(visit: Visit, purpose: str, *, first: bool = False) -> str:
    """The request id for the authority. Raises `OverError`, with *first* for any but the first time.

    It is made of the form's own and of the sign-in: nobody can ask for another one's answer.
    """
    workspace_id = visit.path.get("workspace", "")
    request_id = visit.fields.one("request_id")
    if not _is_request_id(request_id):
        raise OverError("")
    try:
        submission = await visit.parts.books.submissions.begin(
            visit.signed_in.id, request_id, purpose, workspace_id
        )
    except FieldInvalid:
        # It was another form's.
        raise OverError("") from None
    over = submission.state is SubmissionState.CLOSED
    if over or (first and submission.state is not SubmissionState.NEW):
        raise OverError(submission.key_id)
    return security.derive(visit.cookie, f"{purpose} {workspace_id} {request_id}")


async def answered(visit: Visit, key_id: str) -> None:
    """Notes what the form made: a key, a secret of one, or a workspace."""
    request_id = visit.fields.one("request_id")
    await visit.parts.books.submissions.answered(visit.signed_in.id, request_id, key_id)
