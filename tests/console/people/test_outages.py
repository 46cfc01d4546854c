"""Where the database can't, nothing is taken for granted."""

from __future__ import annotations

import asyncio
import sqlite3
import traceback
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from console.people import (
    Limit,
    People,
    Person,
    Role,
    StoreUnavailable,
    migrate_people,
    tables,
)
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.base.relational.outages import StorageError
from tests.console.people.parts import ManualClock, actions, administrator, by, opened, sql
from tests.pgbouncer import pgbouncer
from tests.postgres import (
    copy_in_time,
    empty_database,
    name_of,
    new_server,
    new_standby,
    run_sql,
    server_url,
    with_hosts,
)


async def every_question_is_refused(people: People, person: Person, token: str) -> None:
    for question in (
        people.accounts.check_password(person.email, "two blue herons"),
        people.accounts.any_administrator(),
        people.memberships.role("ws_1", person.id),
        people.memberships.add(by(person), "ws_2", person.id, Role.OWNER),
        people.links.find(token),
        people.sessions.find(token),
        people.attempts.wait([Limit("a", 1, timedelta(hours=1))]),
        people.attempts.count([Limit("a", 1, timedelta(hours=1))]),
        people.history.page(limit=1),
    ):
        with pytest.raises(StoreUnavailable):
            await question


async def test_postgres_is_gone_and_comes_back(clock: ManualClock) -> None:
    """While the server is down each call says so; when it is back, all is as it was."""
    server = new_server()
    try:
        url = await empty_database(server.url)
        await migrate_people(url)
        async with opened(url, clock) as people:
            ada = await administrator(people)
            session, token = await people.sessions.begin(ada.id, "", "", "password")
            server.stop()
            await every_question_is_refused(people, ada, token.reveal())
            server.start()
            assert await people.sessions.find(token.reveal()) == session
    finally:
        server.remove()


async def test_postgres_hangs_and_another_takes_its_place(clock: ManualClock) -> None:
    """The console goes on there, though the server that hangs is named first."""
    with ExitStack() as stack:
        primary = new_server()
        stack.callback(primary.remove)
        url = await empty_database(primary.url)
        await migrate_people(url)
        standby = new_standby(primary)
        stack.callback(standby.remove)
        await copy_in_time(primary)
        both = with_hosts(url, primary, standby)
        async with opened(both, clock) as people:
            ada = await administrator(people)
            await asyncio.gather(*(people.accounts.get(ada.id) for _ in range(10)))
            primary.freeze()
            standby.promote()

            async with asyncio.timeout(20):
                while await lacks(people, ada):  # noqa: ASYNC110  # a database wakes nobody
                    await asyncio.sleep(0.1)
            await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)


async def lacks(people: People, person: Person) -> bool:
    try:
        return await people.accounts.get(person.id) != person
    except StoreUnavailable:
        return True


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_does_not_pool_by_session(clock: ManualClock, mode: str) -> None:
    """It is refused at the start, and at a migration; one that does is as good as none."""
    url = await empty_database()
    with pgbouncer(url, mode) as behind:
        with pytest.raises(StorageError, match="have it pool by session"):
            await migrate_people(behind)
        await migrate_people(url)
        with pytest.raises(StorageError, match="have it pool by session"):
            async with opened(behind, clock):
                pass
    with pgbouncer(url, "session") as behind:
        await migrate_people(behind)
        async with opened(behind, clock) as people:
            ada = await administrator(people)
            assert await people.accounts.get(ada.id) == ada


async def test_a_connection_that_was_cut(clock: ManualClock) -> None:
    """A connection that died while nobody used it is replaced unnoticed."""
    url = await empty_database()
    await migrate_people(url)
    async with opened(url, clock) as people:
        ada = await administrator(people)
        await run_sql(
            server_url(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name_of(url)}'",
        )

        assert await people.accounts.get(ada.id) == ada


async def test_a_file_that_another_holds(tmp_path: Path, clock: ManualClock) -> None:
    """While another program holds the file, changes are refused; then they are made."""
    async with opened(tmp_path / "console.db", clock, patience=0.05) as people:
        ada = await administrator(people)
        _, token = await people.sessions.begin(ada.id, "", "", "password")
        with closing(sqlite3.connect(tmp_path / "console.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            await every_question_is_refused(people, ada, token.reveal())
            holder.execute("ROLLBACK")

        assert await people.sessions.find(token.reveal()) is not None
        await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)


async def test_a_long_queue(tmp_path: Path, clock: ManualClock) -> None:
    """Who waits too long for those before is told so."""
    async with opened(tmp_path / "console.db", clock, patience=0.05) as people:
        async with people.accounts._database.changing():
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await people.accounts.any_administrator()

        assert not await people.accounts.any_administrator()


async def test_a_commit_that_fails_is_undone(tmp_path: Path, clock: ManualClock) -> None:
    """A change whose commit waits in vain for a reader is not half there afterwards."""
    async with opened(tmp_path / "console.db", clock, patience=0.05) as people:
        ada = await administrator(people)
        with closing(sqlite3.connect(tmp_path / "console.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM people").fetchall()
            with pytest.raises(StoreUnavailable, match="locked"):
                await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
            assert await people.memberships.role("ws_2", ada.id) is None
            reader.execute("ROLLBACK")

        assert await people.memberships.role("ws_2", ada.id) is None
        await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)


async def test_a_table_that_is_gone(people: People, ada: Person, location: Location) -> None:
    """A statement that the database can't understand is a mistake, ours or an operator's: no outage."""
    await sql(location, "DROP TABLE submissions")

    with pytest.raises(DBAPIError, match="submissions"):
        await people.submissions.close_open("session_0")
    assert await people.accounts.get(ada.id) == ada


async def test_a_rule_that_is_broken(people: People, ada: Person) -> None:
    """What the tables don't allow is a mistake of ours, and leaves nothing behind."""
    twice = insert(tables.memberships).values(
        workspace_id="ws_1", person_id=ada.id, role=Role.OWNER, since=ada.create_time
    )
    before = await actions(people)

    async def mistake() -> None:
        async with people.accounts._database.changing() as tx:
            await tx.record(by(ada), "mistake")
            await tx.execute(twice)

    with pytest.raises(IntegrityError) as error:
        await mistake()

    assert ada.id not in "".join(traceback.format_exception(error.value))
    assert await actions(people) == before


async def test_a_value_of_another_type(people: People, ada: Person, location: Location) -> None:
    """Where the driver finds out, it repeats the value; the traceback doesn't."""
    wrong = select(tables.people.c.id).where(
        tables.people.c.create_time == bindparam("time", ada.email, BigInteger)
    )
    async with people.accounts._database.reading() as tx:
        if isinstance(location, PostgresUrl):
            with pytest.raises(DBAPIError) as error:
                await tx.first(wrong)
            assert ada.email not in "".join(traceback.format_exception(error.value))
        else:
            assert await tx.first(wrong) is None  # SQLite compares anything with anything


async def test_who_gives_up_leaves_nothing_locked(location: Location, clock: ManualClock) -> None:
    """A call that is cancelled, wherever it was, leaves the books usable at once, and consistent."""
    patience = {"patience": 0.05} if isinstance(location, Path) else {}
    async with (
        opened(location, clock, **patience) as people,
        opened(location, clock, **patience) as other,
    ):
        ada = await administrator(people)
        for n in range(40):
            adding = people.memberships.add(by(ada), f"x_{n}", ada.id, Role.OWNER)
            call = asyncio.ensure_future(adding)
            await asyncio.sleep(0.0005 * (n % 10))
            call.cancel()
            await asyncio.wait([call])
            await other.memberships.add(by(ada), f"y_{n}", ada.id, Role.OWNER)
            await people.memberships.add(by(ada), f"z_{n}", ada.id, Role.OWNER)

        mine = await people.memberships.of_person(ada.id)
        events = await people.history.page(limit=200, action="member.add")
        assert {each.workspace_id for each in mine} == {event.workspace_id for event in events}
