"""Submissions of forms whose answer shows a secret: each form shows its secret once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update

from console.people.database import Database
from console.people.errors import FieldInvalid, NotFound
from console.people.records import Submission, SubmissionState
from console.people.tables import sessions, submissions

OPEN_FOR: Final = timedelta(minutes=10)
REQUEST_ID_LENGTH: Final = 100


class Submissions:
    """The submissions, stored as long as the session that they belong to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, session_id: str, request_id: str, purpose: str, workspace_id: str
    ) -> Submission:
        """Stores the first submission of the request, and returns it to this and every later call.

        Raises `NotFound` if the session has ended, `FieldInvalid` if another form has the request id.
        """
        if not 0 < len(request_id) <= REQUEST_ID_LENGTH:
            raise _wrong_form()
        request = {"session_id": session_id, "request_id": request_id}
        form = {"purpose": purpose, "workspace_id": workspace_id}
        async with self._database.changing() as tx:
            session = select(sessions.c.id).where(sessions.c.id == session_id)
            if await tx.first(session.with_for_update(read=True, key_share=True)) is None:
                raise NotFound("The session has ended.")
            state = {"key_id": "", "closed": False, "begin_time": tx.now}
            if await tx.add(submissions, **request, **form, **state):
                return Submission(SubmissionState.NEW, "", tx.now)
            row = await tx.first(select(submissions).where(_is(session_id, request_id)))
            if row is None or (row.purpose, row.workspace_id) != (purpose, workspace_id):
                raise _wrong_form()
            closed = row.closed or row.begin_time <= tx.now - OPEN_FOR
        return Submission(
            SubmissionState.CLOSED if closed else SubmissionState.OPEN, row.key_id, row.begin_time
        )

    async def answered(self, session_id: str, request_id: str, key_id: str) -> None:
        """Stores the id of the key whose secret the answer shows."""
        submission = update(submissions).where(_is(session_id, request_id))
        async with self._database.changing() as tx:
            await tx.execute(submission.values(key_id=key_id))

    async def close(self, session_id: str, key_id: str) -> None:
        """Closes the submission that showed the secret of this key: its person has stored it."""
        shown = (submissions.c.session_id == session_id) & (submissions.c.key_id == key_id)
        async with self._database.changing() as tx:
            await tx.execute(update(submissions).where(shown).values(closed=True))

    async def close_open(self, session_id: str) -> None:
        """Closes all submissions of the session that showed a secret.

        A submission without an answer stays open: it showed none.
        """
        shown = (
            submissions.c.session_id == session_id,
            submissions.c.closed.is_(False),
            submissions.c.key_id != "",
        )
        async with self._database.reading() as tx:
            if await tx.first(select(submissions.c.request_id).where(*shown).limit(1)) is None:
                return
        async with self._database.changing() as tx:
            await tx.execute(update(submissions).where(*shown).values(closed=True))


def _is(session_id: str, request_id: str) -> ColumnElement[bool]:
    return (submissions.c.session_id == session_id) & (submissions.c.request_id == request_id)


def _wrong_form() -> FieldInvalid:
    return FieldInvalid("request_id", "This form can’t be sent any more. Open it again.")
