"""What connections and servers that break do to the books in PostgreSQL."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import REPLICA, Claim
from keyauthority.storage.postgres import open_postgres
from keyauthority.storage.postgres.link import PATIENCE, Patience
from keyauthority.storage.sql.store import SqlStore
from tests.conformance.records import a_key, a_workspace
from tests.postgres import Server, new_database, new_server, run_sql, until
from tests.storage.proxy import Proxy, proxied
from tests.transactions import changing


@pytest.fixture
async def url() -> PostgresUrl:
    return await new_database()


@pytest.fixture
def patience() -> Patience:
    """How long the books wait for the server."""
    return PATIENCE


impatient = pytest.mark.parametrize("patience", [Patience(answer=0.5, outcome=0.5)])


@pytest.fixture
async def far(url: PostgresUrl, patience: Patience) -> AsyncIterator[tuple[SqlStore, Proxy]]:
    """Books behind a network."""
    async with (
        proxied(url) as (proxy, through),
        open_postgres(through, patience=patience) as store,
    ):
        await change(store, "first")
        yield store, proxy


async def change(store: SqlStore, subject: str) -> int:
    async with changing(store) as tx:
        return await tx.feed.advance([subject])


async def subjects(url: PostgresUrl) -> list[str]:
    return [row[0] for row in await run_sql(url, "SELECT subject FROM change ORDER BY revision")]


async def outage(work: Awaitable[object]) -> str:
    with pytest.raises(KeyAuthorityError) as raised:
        await work
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    return raised.value.message


async def test_a_commit_that_never_arrived(far: tuple[SqlStore, Proxy], url: PostgresUrl) -> None:
    """The connection breaks before the commit: nothing was changed, and that is said."""
    store, proxy = far
    proxy.on_commit = "lost"

    message = await outage(change(store, "lost"))

    assert message == "the connection to the database was lost; nothing was changed"
    assert await change(store, "next") == 2
    assert await subjects(url) == ["first", "next"]


async def test_a_commit_that_was_not_answered(
    far: tuple[SqlStore, Proxy], url: PostgresUrl
) -> None:
    """The connection breaks after the commit: it is found to be made, and is no error."""
    store, proxy = far
    proxy.on_commit = "unanswered"

    assert await change(store, "made") == 2

    assert await subjects(url) == ["first", "made"]


async def test_a_commit_that_arrives_when_its_connection_is_gone(
    far: tuple[SqlStore, Proxy], url: PostgresUrl
) -> None:
    """What became of it is not asked before its transaction is over."""
    store, proxy = far
    proxy.on_commit = "late"

    assert await change(store, "late") == 2

    assert await subjects(url) == ["first", "late"]


@impatient
async def test_a_commit_of_unknown_outcome(far: tuple[SqlStore, Proxy], url: PostgresUrl) -> None:
    """If nobody can be asked, the caller is not told that it is made, nor that it isn't."""
    store, proxy = far
    proxy.on_commit = "unanswered"
    proxy.refusing = True

    message = await outage(change(store, "made"))
    proxy.refusing = False

    assert message.endswith("lost before it said whether the change is made")
    assert await subjects(url) == ["first", "made"]
    assert await change(store, "next") == 3


async def test_backends_that_are_terminated(store: SqlStore, url: PostgresUrl) -> None:
    """Every connection is ended by the server, again and again: at most one use of each fails."""
    for n in range(3):
        async with changing(store) as tx:
            await tx.keys.insert(a_key(f"key_{n}"))
        await store.snapshot([])
        await run_sql(url, TERMINATE)
        await asyncio.sleep(0.05)

    assert len((await store.snapshot([f"key_{n}" for n in range(3)])).keys) == 3


async def test_a_transaction_whose_backend_is_terminated(store: SqlStore, url: PostgresUrl) -> None:
    """It is an outage, leaves nothing, and the next one can be made."""

    async def cut_off() -> None:
        async with changing(store) as tx:
            await tx.keys.insert(a_key())
            await run_sql(url, TERMINATE)
            await tx.feed.advance(["key_1"])

    await outage(cut_off())

    assert (await store.snapshot(["key_1"])).keys == {}
    assert await change(store, "key_1") == 1


@impatient
async def test_a_network_that_says_nothing(far: tuple[SqlStore, Proxy]) -> None:
    """Reads, changes and renewals end as outages in time, and all goes on when it speaks again."""
    store, proxy = far
    session_id = (await store.sessions.join(REPLICA, "replica", Claim(1, 0))).session_id
    await store.snapshot([])
    proxy.freeze()

    async with asyncio.timeout(10):
        for work in (
            store.snapshot([]),
            change(store, "lost"),
            store.sessions.renew(session_id, REPLICA, Claim(1, 1)),
        ):
            await outage(work)
    proxy.thaw()

    assert await change(store, "next") == 2
    assert (await store.sessions.renew(session_id, REPLICA, Claim(1, 1))).subjects == ("next",)


async def test_cancelled_statements_poison_no_connection(store: SqlStore) -> None:
    """However many reads and changes are cancelled, what follows gets its own answers."""

    async def read(n: int) -> None:
        assert set((await store.snapshot([f"key_{n}"])).keys) <= {f"key_{n}"}

    async def write(n: int) -> None:
        async with changing(store) as tx:
            await tx.keys.insert(a_key(f"key_{n}"))

    loop = asyncio.get_running_loop()
    for n in range(150):
        task = asyncio.create_task(write(n) if n % 3 == 0 else read(n))
        loop.call_later(n / 50_000, task.cancel)
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None
    await asyncio.gather(*(read(n) for n in range(50)))


async def test_more_at_once_than_there_are_connections(store: SqlStore) -> None:
    """They wait for one another."""
    await asyncio.gather(*(change(store, f"key_{n}") for n in range(40)))

    assert (await store.snapshot([])).head.revision == 40


@impatient
async def test_waiting_too_long_for_another_change(store: SqlStore) -> None:
    """A change that can't get at a key for long is an outage and leaves nothing."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key())

    async def wait_for_another() -> None:
        async with changing(store) as tx:
            await tx.audit.prune(tx.time, 1_000)
            await tx.keys.get(["key_1"])

    async with changing(store) as tx:
        await tx.keys.get(["key_1"])
        await outage(wait_for_another())

    await change(store, "key_1")


TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def store(url: PostgresUrl, patience: Patience) -> AsyncIterator[SqlStore]:
    async with open_postgres(url, patience=patience) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
        yield store


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = new_server()
    yield server
    server.remove()


async def test_a_server_that_loses_power_and_comes_back(own_server: Server) -> None:
    """What was confirmed is there, and the pool recovers by itself."""
    url = await new_database(own_server.url)
    async with open_postgres(url) as store:
        assert await change(store, "before") == 1
        session_id = (await store.sessions.join(REPLICA, "replica", Claim(1, 1))).session_id
        own_server.stop(signal.SIGQUIT)
        for work in (store.snapshot([]), change(store, "during")):
            await outage(work)
        own_server.start()

        assert (await store.snapshot([])).head.revision == 1
        assert await change(store, "after") == 2
        grant = await store.sessions.renew(session_id, REPLICA, Claim(1, 1))
        assert grant.subjects == ("after",)


async def test_a_commit_nobody_copies_is_not_confirmed(own_server: Server) -> None:
    """A commit, or a renewal, that no longer waits for the standby is not taken for done."""
    url = await new_database(own_server.url)
    async with open_postgres(url) as store:
        await change(store, "first")
        session_id = (await store.sessions.join(REPLICA, "replica", Claim(1, 1))).session_id
        await store.sessions.renew(session_id, REPLICA, Claim(1, 1))
        await wait_for_standby(own_server)

        for work in (
            change(store, "second"),
            store.sessions.renew(session_id, REPLICA, Claim(1, 1)),
        ):
            task = asyncio.ensure_future(work)
            await until(own_server.url, f"SELECT true {WAITING}")
            assert not task.done()
            await run_sql(own_server.url, f"SELECT pg_cancel_backend(pid) {WAITING}")
            assert "the standby may lack" in await outage(task)


async def test_cancelling_whoever_waits_for_the_standby_cancels_no_commit(
    own_server: Server,
) -> None:
    """The task of a change ends when the standby has it, and not before; then it is made.

    Whoever waits for a renewal may leave: it goes on for those that share its commit.
    """
    url = await new_database(own_server.url)
    async with open_postgres(url) as store:
        await change(store, "first")
        session_id = (await store.sessions.join(REPLICA, "replica", Claim(1, 0))).session_id
        await store.sessions.renew(session_id, REPLICA, Claim(1, 0))
        await wait_for_standby(own_server)
        task = asyncio.ensure_future(change(store, "second"))
        renewal = asyncio.ensure_future(store.sessions.renew(session_id, REPLICA, Claim(1, 1)))
        await until(own_server.url, f"SELECT count(*) = 2 {WAITING}")
        task.cancel()
        renewal.cancel()
        await asyncio.sleep(0.2)
        assert not task.done()
        assert renewal.cancelled()
        await until(own_server.url, f"SELECT count(*) = 2 {WAITING}")
        await run_sql(
            own_server.url,
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )
        await asyncio.wait({task, renewal})

        assert task.cancelled()
        assert await subjects(url) == ["first", "second"]


WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


async def wait_for_standby(server: Server) -> None:
    await run_sql(
        server.url,
        "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
        "SELECT pg_reload_conf()",
    )
    await until(server.url, "SELECT current_setting('synchronous_standby_names') = 'nobody'")
