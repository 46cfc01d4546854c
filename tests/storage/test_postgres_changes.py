"""Changes in PostgreSQL that are made at the same time, by several processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.books import Books, Change, Unfenced
from keyauthority.domain.callers import Actor, Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.issuing import Issuing, NewKey
from keyauthority.domain.keys import KeySettings
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.domain.ports import Store
from keyauthority.domain.replays import Retry
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import REPLICA, WHOLE, Allowance, Claim, Grant, Head
from keyauthority.keyring import FileKeyring, KeyringError
from keyauthority.storage import bootstrap
from keyauthority.storage.postgres import open_postgres
from keyauthority.storage.postgres.statements import number_of
from tests.conformance.records import START, UndoError, a_caller, a_key, a_pepper, a_workspace
from tests.domain.parts import an_actor
from tests.postgres import name_of, new_database, run_sql
from tests.transactions import changing, reading


@pytest.fixture
async def url() -> PostgresUrl:
    return await new_database()


@pytest.fixture
async def one(url: PostgresUrl) -> AsyncIterator[Store]:
    async with open_postgres(url) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
        yield store


@pytest.fixture
async def two(url: PostgresUrl) -> AsyncIterator[Store]:
    """The same books, as another process has them."""
    async with open_postgres(url) as store:
        yield store


async def test_a_join_waits_for_a_change_that_has_its_number(one: Store, two: Store) -> None:
    """A session isn't granted a head below a revision that is about to be committed unseen."""
    joining: asyncio.Task[Grant]
    async with changing(one) as tx:
        revision = await tx.feed.advance(["key_1"])
        joining = asyncio.create_task(two.sessions.join(REPLICA, "replica", Claim(1, 0)))
        await asyncio.sleep(0.2)
        assert not joining.done()
    grant = await joining

    assert (grant.head, grant.subjects) == (Head(1, revision), ("key_1",))


async def test_a_change_waits_for_a_join_under_way(
    one: Store, two: Store, url: PostgresUrl
) -> None:
    """A session that was granted the head before is found by whoever commits the next."""
    await hold_up(url, "INSERT")
    joining = asyncio.create_task(one.sessions.join(REPLICA, "replica", Claim(1, 0)))
    await asyncio.sleep(0.2)

    async with changing(two) as tx:
        revision = await tx.feed.advance(["key_1"])
    standing = await two.sessions.standing()

    assert (await joining).head == Head(1, 0)
    assert (standing.sessions, standing.at(revision).behind) == ({(0, None): 1}, 1)


async def hold_up(url: PostgresUrl, event: str) -> None:
    """Lets whatever does *event* to a session take half a second, before it is committed."""
    await run_sql(
        url,
        "CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$",
        f"CREATE TRIGGER hold_up AFTER {event} ON sessions FOR EACH ROW EXECUTE FUNCTION hold_up()",
    )


async def test_a_renewal_is_of_one_state(one: Store, two: Store, url: PostgresUrl) -> None:
    """A change committed while a renewal runs is either told by it, or not acknowledged."""
    async with changing(one) as tx:
        await tx.feed.advance(["key_1"])
    session_id = (await one.sessions.join(REPLICA, "replica", Claim(1, 0))).session_id
    await hold_up(url, "UPDATE")
    renewing = asyncio.create_task(one.sessions.renew(session_id, REPLICA, Claim(1, 2)))
    await asyncio.sleep(0.2)

    async with changing(two) as tx:
        assert await tx.feed.advance(["key_2"]) == 2
    grant = await renewing
    [session] = await two.sessions.all()

    # It claimed what wasn't there yet when the statement began.
    assert (grant.head, grant.subjects, session.acknowledged) == (Head(1, 1), None, 0)


async def test_no_lease_is_lost_with_a_process(one: Store, two: Store) -> None:
    """However processes end, the sessions are there: nothing is left to be waited out blindly."""
    for store in (one, two, one):
        async with changing(store) as tx:
            assert await tx.leases.begin()


async def test_commits_in_reverse_order(one: Store, two: Store) -> None:
    """The change that began last and commits first is the first; a reader sees both."""
    seen: list[tuple[int, str]] = []

    async def look() -> None:
        async with reading(two) as tx:
            seen.extend(await tx.feed.since(seen[-1][0] if seen else 0, 10))

    async with changing(one) as early:
        await early.keys.insert(a_key("key_early"))
        async with changing(two) as late:
            await late.keys.insert(a_key("key_late"))
            assert await late.feed.advance(["key_late"]) == 1
        await look()
        assert await early.feed.advance(["key_early"]) == 2
    await look()

    assert seen == [(1, "key_late"), (2, "key_early")]


async def test_time_is_the_databases(one: Store, url: PostgresUrl) -> None:
    """Snapshots and transactions tell its time, one after the other."""
    times = [(await one.snapshot([])).time]
    async with changing(one) as tx:
        times.append(tx.time)
    async with reading(one) as tx:
        times.append(tx.time)
    [(now,)] = await run_sql(url, "SELECT clock_timestamp()")
    times.append(now)

    assert times == sorted(set(times))
    assert (times[-1] - times[0]).total_seconds() < 60


async def test_a_database_whose_clock_is_set_back(one: Store, url: PostgresUrl) -> None:
    """No time is told that is before one told already: what has ended stays ended."""
    before = (await one.snapshot([])).time
    await run_sql(
        url,
        "CREATE SCHEMA earlier",
        "CREATE FUNCTION earlier.statement_timestamp() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT pg_catalog.statement_timestamp() - interval '1 hour' $$",
        f"ALTER DATABASE {name_of(url)} SET search_path = earlier, pg_catalog, public",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    await asyncio.sleep(0.05)

    assert (await one.snapshot([])).time == before
    async with open_postgres(url) as store:
        assert (await store.snapshot([])).time < before


async def test_the_same_name_twice_at_once(one: Store, two: Store) -> None:
    """The second of two callers of one name waits for the first, and is told that it is taken."""
    async with changing(one) as tx:
        await tx.callers.insert(a_caller("caller_1", name="certificate_name"))
        other = asyncio.create_task(insert(two, a_caller("caller_2", name="certificate_name")))
        await asyncio.sleep(0.1)
        assert not other.done()

    with pytest.raises(KeyAuthorityError) as refusal:
        await other
    assert refusal.value.reason is Reason.CALLER_NAME_TAKEN


async def insert(store: Store, caller: Caller) -> None:
    async with changing(store) as tx:
        await tx.callers.insert(caller)


async def test_keys_revoked_together_in_any_order(one: Store, two: Store) -> None:
    """Two changes of the same keys, named in another order, wait for one another."""
    key_ids = [f"key_{n}" for n in range(20)]
    async with changing(one) as tx:
        for key_id in key_ids:
            await tx.keys.insert(a_key(key_id))

    async def touch(store: Store, ids: list[str]) -> None:
        for _ in range(20):
            async with changing(store) as tx:
                found = await tx.keys.get(ids)
                pairs = [
                    (key, key.updated(tx.time, KeySettings(str(key.version))))
                    for key in found.values()
                ]
                await tx.keys.update(pairs)

    await asyncio.gather(touch(one, key_ids), touch(two, key_ids[::-1]))

    keys = (await one.snapshot(key_ids)).keys
    assert {key.version for key in keys.values()} == {41}


async def test_who_waits_for_long_holds_up_nobody_else(one: Store, two: Store) -> None:
    """A change alone that waits for another process's goes beside those that come after it."""
    books = Books(one, Unfenced())
    waits: asyncio.Task[Any]
    async with changing(two) as tx:
        await tx.workspaces.to_change("ws_1")
        suspending = ManagingWorkspaces(books).update(
            an_actor(), "ws_1", name=None, suspended=True, etag=""
        )
        waits = asyncio.create_task(suspending)
        await asyncio.sleep(0.01)
        await asyncio.wait_for(books.change(an_actor(), pause_another), 2)
        assert not waits.done()

    suspended, _ = await waits
    assert suspended.suspended


async def pause_another(change: Change) -> None:
    change.alters("key_1", "ws_2", Fact(Action.KEY_PAUSED))


async def keyring_in(directory: Path, store: Store) -> FileKeyring:
    return await bootstrap.open_keyring(store, directory / "keyring.json", directory / "root.token")


async def test_replicas_that_start_at_once_make_one_root(
    one: Store, two: Store, url: PostgresUrl, tmp_path: Path
) -> None:
    """With one keyring between them: one makes it and the token, the others find both."""
    async with open_postgres(url) as three:
        keyrings = await asyncio.gather(*(keyring_in(tmp_path, s) for s in (one, two, three)))

    assert len({keyring.fingerprint(1) for keyring in keyrings}) == 1
    async with reading(one) as tx:
        assert len(await tx.callers.page(10, None)) == 1
        assert len(await tx.peppers.all()) == 1


async def test_a_replica_with_a_keyring_of_its_own_does_not_start(
    one: Store, two: Store, tmp_path: Path
) -> None:
    """Of two first starts at once on different machines, one makes the books."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    started = await asyncio.gather(
        keyring_in(tmp_path / "a", one), keyring_in(tmp_path / "b", two), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in started) == ["FileKeyring", "KeyringError"]
    assert any(isinstance(one, KeyringError) and "is missing" in str(one) for one in started)
    assert len([*tmp_path.glob("*/root.token")]) == 1


async def test_the_same_request_twice_at_once(one: Store, two: Store, tmp_path: Path) -> None:
    """The second waits for the first and gets its answer, secret included; there is one key."""
    keyring = await keyring_in(tmp_path, one)
    actor = Actor(a_caller("caller_1", roles=frozenset({Role.ISSUER})), "IssueKey", "", "")
    new = NewKey("ws_1", KeySettings("a key"))

    async def issue(store: Store) -> bytes:
        issuing = Issuing(Books(store, Unfenced()), keyring, LastUsed())
        return await issuing.issue(
            actor, new, Retry("request-1", b"same"), lambda _, __, secret: secret.reveal().encode()
        )

    answers = await asyncio.gather(*(issue(store) for store in (one, two, one, two)))

    assert len(set(answers)) == 1
    async with reading(one) as tx:
        assert len(await tx.audit.page(AuditFilter(), 10, None)) == 2  # the root token, and one key


async def test_a_pepper_is_not_retired_under_a_change_that_uses_it(one: Store, two: Store) -> None:
    """Activating another version waits for whoever is minting with the one before."""
    async with changing(one) as tx:
        await tx.peppers.put(a_pepper(1))
    async with changing(one) as minting:
        await minting.peppers.all()
        change = asyncio.create_task(change_peppers(two))
        await asyncio.sleep(0.1)
        assert not change.done()
    await change


async def change_peppers(store: Store) -> None:
    async with changing(store) as tx:
        await tx.peppers.to_change()
        await tx.peppers.put(a_pepper(1, create_time=START))


async def test_the_same_pepper_added_twice_at_once(one: Store, two: Store, tmp_path: Path) -> None:
    """One of two that add a version is told that one awaits activation."""
    keyring = await keyring_in(tmp_path, one)
    actor = Actor(a_caller(), "AddPepper", "", "")
    added = await asyncio.gather(
        *(ManagingPeppers(Books(store, Unfenced()), keyring).add(actor) for store in (one, two)),
        return_exceptions=True,
    )

    refusals = [one for one in added if isinstance(one, KeyAuthorityError)]
    assert [error.reason for error in refusals] == [Reason.PEPPER_PENDING]


async def test_an_older_version_knows_no_allowances(
    one: Store, two: Store, url: PostgresUrl
) -> None:
    """It grants a whole lease all the same: the books say so, and the session begins anew."""
    none = timedelta()
    session_id = (await one.sessions.join(REPLICA, "verifier", Claim(1, 0))).session_id
    assert await one.sessions.allow(session_id, WHOLE, Allowance(none, none))
    [session] = await two.sessions.all()

    await run_sql(url, "UPDATE sessions SET beat = nextval('session_beats')")

    assert (await two.sessions.standing()).at(1).behind == 1
    assert not await one.sessions.allow(session_id, session.allowance, WHOLE)
    grant = await one.sessions.renew(session_id, REPLICA, Claim(1, 0))
    assert grant.lease > none
    assert (await two.sessions.standing()).at(1).behind == 1
    [session] = await two.sessions.all()
    assert session.allowance.settled
    assert await one.sessions.allow(session_id, session.allowance, Allowance(none))


async def test_a_lease_is_of_the_state_that_its_head_is(
    one: Store, two: Store, url: PostgresUrl
) -> None:
    """A longer one that is allowed while a renewal waits is granted with the head of then."""
    none = timedelta()
    session_id = (await one.sessions.join(REPLICA, "verifier", Claim(1, 0))).session_id
    assert await one.sessions.allow(session_id, WHOLE, Allowance(none, none))
    [session] = await two.sessions.all()
    connection = await asyncpg.connect(url.reveal())
    try:
        # The renewal is tried until the row is free.
        await connection.execute("BEGIN")
        await connection.execute("SELECT 1 FROM sessions FOR UPDATE")
        renewing = asyncio.create_task(one.sessions.renew(session_id, REPLICA, Claim(1, 0)))
        await asyncio.sleep(0.1)
        assert not renewing.done()
        async with changing(two) as tx:
            assert await tx.feed.advance(["key_1"]) == 1
        assert (await two.sessions.standing()).at(1).behind == 0
        await connection.execute(
            "UPDATE sessions SET lease = NULL, in_force = NULL, number = nextval('session_beats')"
        )
        await connection.execute("COMMIT")
    finally:
        await connection.close()
    grant = await renewing

    assert (grant.head, grant.lease) == (Head(1, 1), (await one.sessions.standing()).terms.lease)
    [after] = await two.sessions.all()
    assert after.allowance.number != session.allowance.number


async def made_changes(url: PostgresUrl) -> int:
    connection = await asyncpg.connect(url.reveal())
    try:
        changes: int = await connection.fetchval("SELECT sum(number) FROM commits")
        return changes
    finally:
        await connection.close()


async def test_joins_that_come_together_are_one_change(one: Store, url: PostgresUrl) -> None:
    """Each has a session and a beat of its own all the same."""
    before = await made_changes(url)

    grants = await asyncio.gather(
        *(one.sessions.join(REPLICA, f"verifier {n}", Claim(1, 0)) for n in range(100))
    )

    assert await made_changes(url) - before < 10
    there = await one.sessions.all()
    assert {session.id for session in there} == {grant.session_id for grant in grants}
    assert len({session.beat for session in there}) == 100
    assert {session.name for session in there} == {f"verifier {n}" for n in range(100)}


async def test_joins_that_wait_leave_room_for_changes(one: Store, url: PostgresUrl) -> None:
    """Also if a process that hangs has the lock that they wait for."""
    connection = await asyncpg.connect(url.reveal())
    try:
        lock = "SELECT pg_advisory_lock($1)"
        await connection.execute(lock, number_of(f"sessions of {REPLICA}"))
        joining = [
            asyncio.create_task(one.sessions.join(REPLICA, "verifier", Claim(1, 0)))
            for _ in range(30)
        ]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(1.5), changing(one) as tx:
            await tx.feed.advance(["key_1"])
        assert not any(join.done() for join in joining)
    finally:
        await connection.close()
    assert len({grant.session_id for grant in await asyncio.gather(*joining)}) == 30


async def test_far_from_its_bound_a_caller_joins_everywhere_at_once(
    one: Store, two: Store, url: PostgresUrl
) -> None:
    """Nobody waits for a process that has joined and not committed yet."""
    await hold_up(url, "INSERT")
    first = asyncio.create_task(one.sessions.join(REPLICA, "verifier", Claim(1, 0)))
    await asyncio.sleep(0.2)
    connection = await asyncpg.connect(url.reveal())
    try:
        second = asyncio.create_task(two.sessions.join(REPLICA, "verifier", Claim(1, 0)))
        await asyncio.sleep(0.2)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        assert await connection.fetchval(waiting) == 0
    finally:
        await connection.close()
    await asyncio.gather(first, second)


async def test_a_batch_waits_for_the_counter_as_a_change_does(one: Store, two: Store) -> None:
    """However long another replica takes to commit: nothing is a deadlock any more by then."""
    books = Books(one, Unfenced())
    actor = Actor(a_caller(), "RevokeKey", "", "")

    async def alter(change: Change) -> None:
        change.alters("key_1", "ws_1", Fact(Action.KEY_PAUSED))

    async with changing(two) as tx:
        await tx.feed.advance(["key_2"])
        together = [asyncio.create_task(books.change(actor, alter)) for _ in range(5)]
        await asyncio.sleep(0.3)
        assert not [change for change in together if change.done()]
    receipts = [receipt for _, receipt in await asyncio.gather(*together)]
    assert sorted(receipt.revision for receipt in receipts) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_lock_of_one_work_is_not_taken_for_the_next_ones(one: Store, fails: bool) -> None:
    """Neither one that was rolled back, nor a shared one for one to be alone with."""

    async def locks(tx: Transaction) -> list[str]:
        statements: Any = tx.peppers
        rows = await statements._statements.rows(
            text("SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        )
        return [row.mode for row in rows]

    async def share(tx: Transaction) -> None:
        async with tx.savepoint():
            await tx.peppers.all()
            if fails:
                raise UndoError

    async def work(tx: Transaction) -> list[str]:
        for _ in range(40):
            with suppress(UndoError):
                await share(tx)
        if fails:
            await tx.peppers.all()
        else:
            await tx.peppers.to_change()
        return await locks(tx)

    assert ("ShareLock" if fails else "ExclusiveLock") in await one.change(work)


async def test_a_session_that_is_being_changed_holds_up_no_other(one: Store, two: Store) -> None:
    """Whoever changes it may be gone: only that session is not renewed until he is."""
    ids = [(await one.sessions.join(REPLICA, "", Claim(0, 0))).session_id for _ in range(4)]
    database: Any = two
    async with database._database.changing() as statements:
        await statements.count(text(f"UPDATE sessions SET late = 1 WHERE id = '{ids[1]}'"))
        renewals = [asyncio.create_task(one.sessions.renew(i, REPLICA, Claim(1, 0))) for i in ids]
        async with asyncio.timeout(1):
            await asyncio.gather(*(renewals[n] for n in (0, 2, 3)))
        assert not renewals[1].done()
    assert (await renewals[1]).session_id == ids[1]


async def test_of_many_requests_of_a_session_the_last_counts(one: Store) -> None:
    """A verifier waits for no other; so they keep nobody else waiting."""
    session, other = [
        (await one.sessions.join(REPLICA, "", Claim(0, 0))).session_id for _ in range(2)
    ]
    requests = [one.sessions.renew(session, REPLICA, Claim(1, 0)) for _ in range(50)]
    answers = await asyncio.gather(
        *requests, one.sessions.renew(other, REPLICA, Claim(1, 0)), return_exceptions=True
    )

    refused = [one for one in answers if isinstance(one, KeyAuthorityError)]
    assert {refusal.reason for refusal in refused} == {Reason.OVERLOADED}
    assert len(refused) >= 40
    assert not isinstance(answers[-1], Exception)
