"""Forms whose answer shows a secret: each shows it once, however often it is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select, update

from console.people.database import Database
from console.people.errors import FieldInvalid, NotFound
from console.people.records import Submission, SubmissionState
from console.people.tables import sessions, submissions

OPEN_FOR: Final = timedelta(minutes=10)
REQUEST_ID_LENGTH: Final = 100


class Submissions:
    """Kept as long as the session they belong to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, session_id: str, request_id: str, purpose: str, workspace_id: str
    ) -> Submission:
        """The submission of that request: new, once, and then as it was left.

        Raises `NotFound` if the session has ended, `FieldInvalid` if the request was another's.
        """
        if not 0 < len(request_id) <= REQUEST_ID_LENGTH:
            raise _not_of_this_form()
        about = {"purpose": purpose, "workspace_id": workspace_id}
        new = {"session_id": session_id, "request_id": request_id, **about}
        async with self._database.changing() as tx:
            session = select(sessions.c.id).where(sessions.c.id == session_id)
            if await tx.one(session.with_for_update(read=True, key_share=True)) is None:
                raise NotFound("The session has ended.")
            added = tx.insert(submissions).values(**new, key_id="", closed=False, begin_time=tx.now)
            inserted = added.on_conflict_do_nothing().returning(submissions.c.key_id)
            if await tx.one(inserted) is not None:
                return Submission(SubmissionState.NEW, "", tx.now)
            row = await tx.one(select(submissions).where(*_is(session_id, request_id)))
            if row is None or (row.purpose, row.workspace_id) != (purpose, workspace_id):
                raise _not_of_this_form()
            closed = row.closed or row.begin_time <= tx.now - OPEN_FOR
        state = SubmissionState.CLOSED if closed else SubmissionState.OPEN
        return Submission(state, row.key_id, row.begin_time)

    async def answered(self, session_id: str, request_id: str, key_id: str) -> None:
        """Keeps which key the answer showed."""
        shown = update(submissions).where(*_is(session_id, request_id)).values(key_id=key_id)
        async with self._database.changing() as tx:
            await tx.count(shown)

    async def close(self, session_id: str, key_id: str) -> None:
        """The secret of that key was stored: it is not shown again in this session."""
        which = (submissions.c.session_id == session_id, submissions.c.key_id == key_id)
        async with self._database.changing() as tx:
            await tx.count(update(submissions).where(*which).values(closed=True))

    async def close_open(self, session_id: str) -> None:
        """No secret that was shown before is shown again in this session.

        A form that was sent and never answered stays open: it showed none.
        """
        which = (
            submissions.c.session_id == session_id,
            submissions.c.closed.is_(False),
            submissions.c.key_id != "",
        )
        async with self._database.reading() as tx:
            if await tx.one(select(submissions.c.request_id).where(*which).limit(1)) is None:
                return
        async with self._database.changing() as tx:
            await tx.count(update(submissions).where(*which).values(closed=True))


def _is(session_id: str, request_id: str) -> tuple[Any, Any]:
    return (submissions.c.session_id == session_id, submissions.c.request_id == request_id)


def _not_of_this_form() -> FieldInvalid:
    return FieldInvalid("request_id", "This form can't be sent any more. Open it anew.")
