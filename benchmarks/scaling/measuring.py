"""`python -m benchmarks.scaling.measuring`: measures what `costs` has and `benchmarks/results.md` lacks.

It starts a PostgreSQL of its own, on the disk, and prints a line for each value of `Costs`:
milliseconds, bytes or counts.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import click
from sqlalchemy import Table

from benchmarks import postgres
from benchmarks.filling_ledger import USE
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import Key, KeySettings, StoredSecret
from keyauthority.domain.ledger import Entry, Kind, Written
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import REPLICA, Claim, Grant
from keyauthority.domain.workspaces import Workspace
from keyauthority.escrow.slices import Account
from keyauthority.storage import key_tables, ledger_tables
from keyauthority.storage.postgres import open_postgres
from keyauthority.storage.postgres.link import Link
from tests.postgres import run_sql
from tests.transactions import changing

NOW: Final = datetime.now(UTC)
WORKSPACE: Final = "ws_bench"
MANY: Final = 100
SESSIONS: Final = 500
KEY_ID: Final = "'key_' || substr(md5(n::text), 1, 16)"
PRIMARY: Final = (
    "SELECT pg_relation_size(indexrelid) FROM pg_index "
    "WHERE indrelid = 'keys'::regclass AND indisprimary"
)


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds of one repetition: by the clock, of this process's CPU, and of the database's."""

    wall: float
    cpu: float
    database: float


@click.command(context_settings={"show_default": True})
@click.option("--times", default=300, help="Repetitions.")
@click.option("--keys", default=1_000_000, help="Rows whose size is measured.")
def main(times: int, keys: int) -> None:
    """Measures single steps on PostgreSQL, and the size of rows."""
    with postgres.server() as url, postgres.migrated_database(url) as database:
        for name, value in {**_fsync(times), **asyncio.run(_steps(database, times))}.items():
            click.echo(f"{name} = {value:.3g}")
        for name, size in asyncio.run(_sizes(database, keys)).items():
            click.echo(f"{name} = {size:.0f}")


def _usual(took: Sequence[float]) -> float:
    # The end of the fastest tenth: what others do on the machine meanwhile counts least there.
    return statistics.quantiles(took, n=10, method="inclusive")[0]


def _fsync(times: int) -> dict[str, float]:
    took = []
    with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as file:
        for _ in range(times):
            file.write(b"x" * 8192)
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return {"fsync": 1e3 * _usual(took)}


async def _steps(database: PostgresUrl, times: int) -> dict[str, float]:
    async with open_postgres(database) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(Workspace(WORKSPACE, "bench", False, NOW, NOW, 1))
            await tx.keys.insert(_key(0))
            for number in range(1, MANY + 1):
                await tx.keys.insert(_key(number))
        session = (await store.sessions.join(REPLICA, "bench", Claim(0, 0))).session_id
        joined = [await store.sessions.join(REPLICA, "bench", Claim(0, 0)) for _ in range(SESSIONS)]
        own = Timed(database)
        keys = [f"key_{number}" for number in range(1, MANY + 1)]
        one_read = await own.usual(times, lambda: store.snapshot(keys[:1]))
        reads = await own.usual(times, lambda: store.snapshot(keys))
        renew = await own.usual(times, lambda: store.sessions.renew(session, REPLICA, Claim(1, 0)))
        renewals = await own.usual(times // 5, lambda: _renew_all(store, joined[:MANY]))
        look = await own.usual(times, store.sessions.standing)
        one, many = await _change(store, 1, times), await _change(store, MANY, times // 10)
        trips = await _round_trips(store)
        charges = {count: await _charge(store, count, times // 5) for count in (1, MANY)}
    return {
        "batch_read": (reads.cpu - one_read.cpu) / (MANY - 1),
        "renew_database": renew.database,
        "renew_database_each": renewals.database / MANY,
        "renew, by the clock": renew.wall,
        "look_each": look.cpu / SESSIONS,
        "look, database, each": look.database / SESSIONS,
        "change_before": one[0],
        "change_before_each": (many[0] - one[0]) / (MANY - 1),
        "change_held": one[1],
        "change_held_each": (many[1] - one[1]) / (MANY - 1),
        "statements_before": trips[0],
        "statements_held": trips[1],
        "account_held": charges[1],
        "account_held_each": (charges[MANY] - charges[1]) / (MANY - 1),
    }


async def _renew_all(store: Store, grants: Sequence[Grant]) -> None:
    # All but the first two go together.
    renew = store.sessions.renew
    await asyncio.gather(*(renew(one.session_id, REPLICA, Claim(1, 0)) for one in grants))


class Timed:
    """Times work, by the clock and by the CPU of both ends."""

    def __init__(self, database: PostgresUrl) -> None:
        self._url = database.reveal()

    async def usual(self, times: int, work: Callable[[], Awaitable[Any]]) -> Took:
        """Does *work* so often, one after the other. CPU is the mean."""
        walls, cpu, database = [], time.process_time(), await self._database()
        for _ in range(times):
            start = time.perf_counter()
            await work()
            walls.append(time.perf_counter() - start)
        used = time.process_time() - cpu, await self._database() - database
        return Took(1e3 * _usual(walls), *(1e3 * one / times for one in used))

    async def _database(self) -> float:
        # Seconds of CPU of the server's processes that serve connections, on this machine.
        rows = await run_sql(
            self._url, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return sum(_cpu(pid) for (pid,) in rows)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _change(store: Store, count: int, times: int) -> tuple[float, float]:
    # As a revocation does: read and update the keys, then the counter, the audit and the commit.
    before, held = [], []
    for turn in range(times):
        start = time.perf_counter()
        async with changing(store) as tx:
            for number in range(1, count + 1):
                key = (await tx.keys.get([f"key_{number}"]))[f"key_{number}"]
                await tx.keys.update([(key, _renamed(key, f"bench {turn}"))])
            locked = time.perf_counter()
            last = await tx.feed.advance(["key_0"] * count)
            await tx.audit.append([_audited(last)] * count)
        before.append(locked - start)
        held.append(time.perf_counter() - locked)
    return 1e3 * _usual(before), 1e3 * _usual(held)


async def _round_trips(store: Store) -> tuple[int, int]:
    # Before the counter's row is locked, and while it is. The commit goes by another way.
    counted = Counter[str]()
    within = Link.within

    async def counting(link: Link, work: Any) -> Any:
        counted[stage] += 1
        return await within(link, work)

    with patch.object(Link, "within", counting):
        stage = "before"
        async with changing(store) as tx:
            key = (await tx.keys.get(["key_1"]))["key_1"]
            await tx.keys.update([(key, _renamed(key, "counted"))])
            stage = "held"
            last = await tx.feed.advance(["key_1"])
            await tx.audit.append([_audited(last)])
    return counted["before"], counted["held"] + 1


async def _charge(store: Store, count: int, times: int) -> float:
    took = []
    for _ in range(times):
        async with changing(store) as tx:
            start = time.perf_counter()
            accounts = await tx.ledger.accounts([WORKSPACE])
            account, number = accounts.get(WORKSPACE, (Account(0), 0))
            balance = account.balance
            references = [(WORKSPACE, f"charge_{number + n}") for n in range(1, count + 1)]
            await tx.ledger.by_reference(references)
            charges = [_charged(number + n, balance - n) for n in range(1, count + 1)]
            balance -= count
            await tx.ledger.write([Written(WORKSPACE, Account(balance), charges)])
        took.append(time.perf_counter() - start)
    return 1e3 * _usual(took)


async def _sizes(database: PostgresUrl, count: int) -> dict[str, float]:
    url = database.reveal()
    for table, key, pattern in (
        (key_tables.keys, "id", "'key_0'"),
        (key_tables.secrets, "key_id", "'key_0'"),
        (ledger_tables.entries, "number", "1"),
    ):
        await run_sql(url, _copies(table, key, pattern, count))
    bytes_of: dict[str, tuple[float, float]] = {}
    for name in ("keys", "secrets", "credit_entries"):
        await run_sql(url, f"VACUUM ANALYZE {name}")
        [[rows, indexes]] = await run_sql(
            url, f"SELECT pg_table_size('{name}'), pg_indexes_size('{name}')"
        )
        bytes_of[name] = rows / count, indexes / count
    [[primary]] = await run_sql(url, PRIMARY)
    keys, secrets = bytes_of["keys"], bytes_of["secrets"]
    return {
        "key_bytes": keys[0] + secrets[0],
        "key_index_bytes": keys[1] + secrets[1],
        "key_primary_bytes": primary / count,
        "entry_bytes": sum(bytes_of["credit_entries"]),
    }


def _copies(table: Table, key: str, pattern: str, count: int) -> str:
    # In SQL, since a million rows from Python take a minute. Ids come in no order.
    own = {
        "keys": {"id": KEY_ID},
        "secrets": {"key_id": KEY_ID, "digest": "decode(md5(n::text) || md5((-n)::text), 'hex')"},
        "credit_entries": {"number": "n + 1000000", "reference": "md5(n::text)"},
    }[table.name]
    columns = [column.name for column in table.columns]
    if table.name == "secrets":
        # The sequence gives it.
        columns.remove("id")
    values = ", ".join(own.get(column, f"old.{column}") for column in columns)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {values} "
        f"FROM {table.name} old, generate_series(1, {count}) n WHERE old.{key} = {pattern}"
    )


def _key(number: int) -> Key:
    digest = number.to_bytes(32, "big")
    stored = StoredSecret(digest, 1, "sk-optk-ab12…wxyz", NOW)
    settings = KeySettings("bench", scopes=("chat:write", "models:read"))
    return Key(f"key_{number}", WORKSPACE, settings, NOW, NOW, None, 1, (stored,))


def _renamed(key: Key, name: str) -> Key:
    settings = KeySettings(name, scopes=key.settings.scopes)
    return Key(key.id, WORKSPACE, settings, NOW, NOW, None, key.version + 1, key.secrets)


def _audited(revision: int) -> AuditEntry:
    return AuditEntry(
        0, NOW, "caller_bench", "bench", "RevokeKey", Action.KEY_REVOKED, "key_0", WORKSPACE,
        False, "127.0.0.1", "req_bench", {"reason": "COMPROMISED", "note": ""}, revision,
    )  # fmt: skip


def _charged(number: int, balance: int) -> Entry:
    reference = f"charge_{number}"
    return Entry(WORKSPACE, number, Kind.CHARGE, -1, balance, reference, NOW, use=USE)


if __name__ == "__main__":
    main()
