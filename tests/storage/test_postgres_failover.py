"""A primary that hangs, and another one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.sessions import REPLICA, Claim
from keyauthority.storage import maintenance
from keyauthority.storage.postgres import listening, migrate_postgres, open_postgres
from keyauthority.storage.sql.store import SqlStore
from tests.postgres import Pair, a_pair, run_sql, until, with_hosts
from tests.transactions import changing

SOON = 20.0
"""Seconds. What was sent to the server that hangs is given up after five."""


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as made:
        yield made


async def change(store: SqlStore, subject: str) -> int:
    async with changing(store) as tx:
        return await tx.feed.advance([subject])


async def in_the_end(work: Callable[[], Awaitable[object]]) -> None:
    """Does *work* as often as it takes, which is not long."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                await work()
            except KeyAuthorityError:
                await asyncio.sleep(0.1)
            else:
                return


async def warm(store: SqlStore) -> str:
    """Many idle connections of each kind; a session."""
    await asyncio.gather(*(change(store, f"key_{n}") for n in range(12)))
    await asyncio.gather(*(store.snapshot([]) for _ in range(12)))
    return (await store.sessions.join(REPLICA, "replica", Claim(1, 0))).session_id


@pytest.mark.parametrize("first", ["primary", "standby"])
async def test_what_hangs_is_left_for_what_was_promoted(pair: Pair, first: str) -> None:
    """Changes, verdicts and renewals go on, whichever is named first, with all that was confirmed."""
    names = (pair.primary, pair.standby) if first == "primary" else (pair.standby, pair.primary)
    async with open_postgres(with_hosts(pair.both, *names)) as store:
        session_id = await warm(store)
        pair.fail_over()

        for work in (
            lambda: store.snapshot([]),
            lambda: store.sessions.renew(session_id, REPLICA, Claim(1, 12)),
            lambda: change(store, "next"),
        ):
            await in_the_end(work)

    assert (await run_sql(pair.there, "SELECT max(revision) FROM change"))[0][0] >= 13


async def test_a_commit_that_hangs_is_looked_up_where_it_would_be(pair: Pair) -> None:
    """It has no time-out; but once another server is the primary, that one says what became of it."""
    async with open_postgres(pair.both) as store:
        await warm(store)
        pair.standby.freeze()
        committing = asyncio.create_task(change(store, "unconfirmed"))
        await until(
            pair.primary.url, "SELECT true FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        pair.primary.freeze()
        pair.standby.thaw()
        pair.standby.promote()

        await in_the_end(lambda: change(store, "next"))
        async with asyncio.timeout(SOON):
            (outcome,) = await asyncio.gather(committing, return_exceptions=True)

    subjects = await run_sql(pair.there, "SELECT subject FROM change ORDER BY revision")
    made = ("unconfirmed",) in subjects
    assert made == (not isinstance(outcome, KeyAuthorityError)), (outcome, subjects)


async def test_the_old_primary_is_not_used_again(pair: Pair) -> None:
    """When it wakes, it takes itself for the primary; whoever has seen the new one knows better."""
    async with open_postgres(pair.both) as store:
        await warm(store)
        pair.fail_over()
        await in_the_end(lambda: change(store, "next"))
        pair.primary.thaw()
        pair.standby.freeze()

        # The first is not answered; the others are not by who answers.
        for _ in range(3):
            with pytest.raises(KeyAuthorityError):
                await store.snapshot([])
        pair.standby.thaw()

        await in_the_end(lambda: change(store, "another"))
        assert (await store.snapshot([])).head.revision >= 14


async def test_who_connects_anew_passes_over_what_hangs(pair: Pair) -> None:
    """Commands, migrations, and what listens."""
    pair.fail_over()
    heard = asyncio.Event()

    async with asyncio.timeout(SOON):
        await migrate_postgres(pair.both)
        assert (await maintenance.lease(pair.both, None)).lease
        async with listening(pair.both, lambda _: heard.set()):
            await heard.wait()


async def test_what_listens_leaves_what_hangs(pair: Pair) -> None:
    """It notices by itself."""
    heard = asyncio.Event()
    async with listening(pair.both, lambda _: heard.set()):
        await heard.wait()
        heard.clear()
        pair.fail_over()
        async with asyncio.timeout(SOON):
            await heard.wait()


async def test_only_hosts_that_hang_or_follow(pair: Pair) -> None:
    """Without a primary there is a sentence, in time."""
    pair.primary.freeze()

    async with asyncio.timeout(SOON):
        with pytest.raises(StorageError, match="the database does not answer"):
            async with open_postgres(pair.both):
                pass
