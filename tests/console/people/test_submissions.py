"""Forms whose answer shows a secret."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import asyncpg
import pytest

from console.people import (
    FieldInvalid,
    NotFound,
    People,
    Person,
    Session,
    StoreUnavailable,
    Submission,
    SubmissionState,
)
from keyauthority.base.relational.location import Location, PostgresUrl
from tests.console.people.parts import ManualClock, by

NEW, OPEN, CLOSED = SubmissionState.NEW, SubmissionState.OPEN, SubmissionState.CLOSED


@pytest.fixture
async def session(people: People, ada: Person) -> Session:
    return (await people.sessions.begin(ada.id, "", "", "password"))[0]


async def test_sent_again(
    people: People, other: People, session: Session, clock: ManualClock
) -> None:
    """The first is new; a reload finds it open, with the key that it made."""
    begin = clock.time
    first = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    clock.pass_by(seconds=1)
    assert first == Submission(NEW, "", begin)
    again = await other.submissions.begin(session.id, "r1", "create", "ws_1")
    assert again == Submission(OPEN, "", begin)

    await people.submissions.answered(session.id, "r1", "key_1")

    again = await other.submissions.begin(session.id, "r1", "create", "ws_1")
    assert again == Submission(OPEN, "key_1", begin)
    fresh = await people.submissions.begin(session.id, "r2", "create", "ws_1")
    assert fresh.state is NEW


async def test_one_of_many_is_new(people: People, other: People, session: Session) -> None:
    """Of one form sent many times at once, in two processes, one is new."""
    sent = await asyncio.gather(
        *(
            books.submissions.begin(session.id, "r1", "create", "ws_1")
            for books in [people, other] * 5
        )
    )

    assert sorted(one.state.value for one in sent) == ["new"] + ["open"] * 9


async def test_stored(people: People, session: Session) -> None:
    """What was stored isn't shown again; what else is open stays so."""
    for request_id, key_id in [("r1", "key_1"), ("r2", "key_2")]:
        await people.submissions.begin(session.id, request_id, "create", "ws_1")
        await people.submissions.answered(session.id, request_id, key_id)

    await people.submissions.close(session.id, "key_1")

    one = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    two = await people.submissions.begin(session.id, "r2", "create", "ws_1")
    assert (one.state, one.key_id) == (CLOSED, "key_1")
    assert (two.state, two.key_id) == (OPEN, "key_2")


async def test_going_elsewhere_closes_all(people: People, ada: Person, session: Session) -> None:
    """Leaving the page closes what is open in this session, and in no other."""
    other, _ = await people.sessions.begin(ada.id, "", "", "password")
    for each in (session, other):
        await people.submissions.begin(each.id, "r1", "create", "ws_1")
        await people.submissions.answered(each.id, "r1", "key_1")

    await people.submissions.close_open(session.id)
    await people.submissions.close_open(session.id)

    mine = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    theirs = await people.submissions.begin(other.id, "r1", "create", "ws_1")
    assert (mine.state, theirs.state) == (CLOSED, OPEN)


@asynccontextmanager
async def only_readers(location: Location) -> AsyncIterator[None]:
    """While this lasts, whoever would write waits, and who reads does not."""
    if isinstance(location, PostgresUrl):
        connection = await asyncpg.connect(location.reveal())
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE submissions IN SHARE MODE")
                yield
        finally:
            await connection.close()
        return
    with closing(sqlite3.connect(location, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def test_closing_nothing_writes_nothing(
    people: People, session: Session, location: Location
) -> None:
    """Where nothing is open, no transaction that writes is begun; where something is, one is."""
    await people.submissions.begin(session.id, "r1", "create", "ws_1")
    async with only_readers(location):
        await asyncio.wait_for(people.submissions.close_open(session.id), 0.5)
    await people.submissions.answered(session.id, "r1", "key_1")
    async with only_readers(location):
        with pytest.raises((TimeoutError, StoreUnavailable)):
            await asyncio.wait_for(people.submissions.close_open(session.id), 0.5)


async def test_old_ones_are_closed(people: People, session: Session, clock: ManualClock) -> None:
    """After ten minutes a form that is sent again shows no secret."""
    await people.submissions.begin(session.id, "r1", "create", "ws_1")

    clock.pass_by(minutes=10, microseconds=-1)
    again = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    assert again.state is OPEN
    clock.pass_by(microseconds=1)
    again = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    assert again.state is CLOSED


@pytest.mark.parametrize(
    ("purpose", "workspace_id"), [("rotate key_1", "ws_1"), ("create", "ws_2")]
)
async def test_a_request_is_of_one_form(
    people: People, session: Session, purpose: str, workspace_id: str
) -> None:
    """A request id that another form was sent with is refused."""
    await people.submissions.begin(session.id, "r1", "create", "ws_1")

    with pytest.raises(FieldInvalid) as refused:
        await people.submissions.begin(session.id, "r1", purpose, workspace_id)

    assert refused.value.field == "request_id"


@pytest.mark.parametrize("request_id", ["", "r" * 101])
async def test_what_is_no_request(people: People, session: Session, request_id: str) -> None:
    """A request id that no form of ours had is refused."""
    with pytest.raises(FieldInvalid):
        await people.submissions.begin(session.id, request_id, "create", "ws_1")


@pytest.mark.parametrize("how", ["end", "never was"])
async def test_without_its_session(people: People, ada: Person, session: Session, how: str) -> None:
    """Submissions go with their session, and none begins without one."""
    session_id = session.id if how == "end" else "session_0"
    if how == "end":
        await people.submissions.begin(session.id, "r1", "create", "ws_1")
        await people.sessions.end(by(ada), ada.id, session.id)

    with pytest.raises(NotFound):
        await people.submissions.begin(session_id, "r1", "create", "ws_1")


async def test_what_was_never_answered_stays_open(people: People, session: Session) -> None:
    """A form that showed nothing, because there was no answer, can be sent again from anywhere."""
    await people.submissions.begin(session.id, "r1", "create", "ws_1")
    await people.submissions.close_open(session.id)
    again = await people.submissions.begin(session.id, "r1", "create", "ws_1")
    assert again.state is OPEN
