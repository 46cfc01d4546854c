"""What is secret is kept nowhere in plain, and not shown by accident."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from console.people import (
    FieldInvalid,
    Password,
    People,
    Person,
    Role,
)
from keyauthority.base.relational.location import Location, PostgresUrl
from tests.console.people.parts import (
    NEW_PASSWORD,
    PASSWORD,
    ManualClock,
    WatchedHasher,
    by,
    opened,
    sql,
)


async def test_a_leaked_database_opens_nothing(
    people: People, ada: Person, location: Location, tmp_path: Path
) -> None:
    """Neither a token of a link or a session nor a password is anywhere in the database."""
    _, invitation = await people.links.invite(by(ada), "ws_1", "bob@example.com", Role.OWNER)
    recovery = await people.links.new_recovery(by(ada), ada.id)
    await people.links.accept_recovery(recovery.reveal(), NEW_PASSWORD, "")
    recovery = await people.links.new_recovery(by(ada), ada.id)
    _, session = await people.sessions.begin(ada.id, "", "", "password")
    secrets = [PASSWORD, NEW_PASSWORD, *(s.reveal() for s in (invitation, recovery, session))]

    if isinstance(location, PostgresUrl):
        content = await everything(location)
    else:
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir()).decode("latin-1")

    assert "bob@example.com" in content
    assert [secret for secret in secrets if secret in content] == []


async def everything(location: Location) -> str:
    tables = await sql(
        location, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    )
    return "".join([str(await sql(location, f"SELECT * FROM {table}")) for (table,) in tables])


async def test_secrets_do_not_show_themselves(people: People, ada: Person) -> None:
    """What is printed by accident holds no secret."""
    session, token = await people.sessions.begin(ada.id, "", "", "password")

    for text in (repr(session), repr(token), repr(Password(PASSWORD)), repr(ada)):
        assert token.reveal() not in text
        assert PASSWORD not in text
        assert "argon2" not in text


async def test_logs_and_errors_hold_no_secret(
    people: People, ada: Person, location: Location, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what is logged of statements nor the traceback of a mistake repeats what was asked for."""
    caplog.set_level(logging.DEBUG, "sqlalchemy.engine.Engine")
    people.sessions._database._engine.sync_engine.echo = True
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    await people.accounts.set_password(by(ada), ada.id, NEW_PASSWORD)
    await sql(location, "DROP TABLE submissions")
    await sql(location, "ALTER TABLE sessions RENAME TO gone")
    await sql(location, "ALTER TABLE people RENAME COLUMN password TO gone")
    with pytest.raises(DBAPIError) as mistake:
        await people.accounts.set_password(by(ada), ada.id, PASSWORD)

    text = caplog.text + "".join(traceback.format_exception(mistake.value))
    assert "UPDATE people SET password" in text
    for secret in (token.reveal(), PASSWORD, NEW_PASSWORD, "$argon2id$", ada.email):
        assert secret not in text


async def test_a_refusal_does_not_repeat_what_was_typed(people: People, ada: Person) -> None:
    """An error beside a field says what to do, not what was typed."""
    for refused in (
        people.accounts.set_password(by(ada), ada.id, "password1234"),
        people.links.invite(by(ada), "ws_1", "<script>", Role.OWNER),
    ):
        with pytest.raises(FieldInvalid) as error:
            await refused
        assert "1234" not in str(error.value)
        assert "script" not in str(error.value)


async def test_hashing_is_done_beside_the_loop_two_at_a_time(
    ada: Person, location: Location, clock: ManualClock
) -> None:
    """However many sign in, two passwords are hashed at a time, and the loop goes on meanwhile."""
    at_once, most, loop_thread = 0, 0, threading.get_ident()
    lock, go_on = threading.Lock(), threading.Event()

    def hold(_: str) -> None:
        nonlocal at_once, most
        assert threading.get_ident() != loop_thread
        with lock:
            at_once += 1
            most = max(most, at_once)
        go_on.wait(10)
        with lock:
            at_once -= 1

    hasher = WatchedHasher()
    hasher.before_verifying = hold
    async with opened(location, clock, hasher=hasher) as people:
        checks = [people.accounts.check_password(ada.email, PASSWORD) for _ in range(8)]
        all_of_them = asyncio.gather(*checks)
        while most < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # Time for a third, if it could.
        await asyncio.sleep(0.1)
        go_on.set()

        assert await all_of_them == [ada] * 8
    assert most == 2
