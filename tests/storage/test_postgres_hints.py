"""Being told of changes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.sessions import Head
from keyauthority.storage.postgres import listening, open_postgres
from keyauthority.storage.sql.store import SqlStore
from tests.conformance.records import a_caller
from tests.postgres import new_database, run_sql
from tests.storage.proxy import proxied
from tests.transactions import changing


@pytest.fixture
async def url() -> PostgresUrl:
    return await new_database()


@pytest.fixture
async def store(url: PostgresUrl) -> AsyncIterator[SqlStore]:
    async with open_postgres(url) as store:
        yield store


class Heard:
    """Counts the hints."""

    def __init__(self) -> None:
        self.times = 0
        self.heads: list[Head | None] = []

    def __call__(self, head: Head | None = None) -> None:
        self.times += 1
        self.heads.append(head)

    async def until(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.times < times:  # noqa: ASYNC110  # the simplest that can be right
                await asyncio.sleep(0.01)


async def advance(store: SqlStore) -> None:
    async with changing(store) as tx:
        await tx.feed.advance(["key_1"])


async def test_changes_are_heard(store: SqlStore, url: PostgresUrl) -> None:
    """Of a change that alters verdicts when it is committed, and of no other."""
    heard = Heard()
    async with listening(url, heard):
        await heard.until(1)
        async with changing(store) as tx:
            await tx.callers.insert(a_caller())
        async with changing(store) as tx:
            await tx.feed.advance(["key_1"])
            await asyncio.sleep(0.1)
            assert heard.times == 1
        await heard.until(2)

        assert heard.heads == [None, Head(1, 1)]


async def test_a_hint_that_says_nothing_is_one_of_anything(
    store: SqlStore, url: PostgresUrl
) -> None:
    """Other versions tell no head, and nobody knows what comes by a channel that anybody may use."""
    heard = Heard()
    async with listening(url, heard):
        await heard.until(1)
        await run_sql(url, "SELECT pg_notify('keyauthority', '')")
        await run_sql(url, "SELECT pg_notify('keyauthority', '1:x')")
        await advance(store)
        await heard.until(4)

    assert heard.heads == [None, None, None, Head(1, 1)]


async def test_a_listener_that_is_cut_off_listens_again(store: SqlStore, url: PostgresUrl) -> None:
    """It makes a new connection, and says that it may have missed something."""
    heard = Heard()
    async with listening(url, heard):
        await heard.until(1)
        await run_sql(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        )
        await heard.until(2)
        await advance(store)
        await heard.until(3)

        assert heard.times == 3


async def test_a_silent_network_is_noticed(store: SqlStore, url: PostgresUrl) -> None:
    """A connection that only listens would otherwise wait for ever."""
    heard = Heard()
    async with (
        proxied(url) as (proxy, through),
        listening(through, heard, heartbeat=0.1, proof=0.2),
    ):
        await heard.until(1)
        proxy.freeze()
        await advance(store)
        await asyncio.sleep(0.5)
        assert heard.times == 1
        proxy.thaw()
        await heard.until(2)
        assert proxy.connections > 1


async def test_nothing_to_listen_to_is_no_error() -> None:
    """Where no server answers it goes on trying, and ends when it is told to."""
    heard, tried = Heard(), Heard()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried()
        writer.close()

    nobody = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = nobody.sockets[0].getsockname()[1]
    async with nobody:
        url = PostgresUrl(f"postgresql://127.0.0.1:{port}/db")
        async with listening(url, heard):
            # One attempt may take several connections: with and without TLS.
            await tried.until(6)
        tried_while_listening = tried.times
        await asyncio.sleep(0)
        assert tried.times == tried_while_listening
    assert heard.times == 0
