"""What many callers change at once: how much of it a second, how long each waits, in how many commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from benchmarks.authority import Authority, running_authority
from benchmarks.postgres import commits_of
from benchmarks.processes import BenchmarkError, probe
from benchmarks.results import Figure, Latencies
from benchmarks.rows.revoking import CONNECTED
from benchmarks.slow_disk import NoCompilerError, SlowDisk, slow_disk
from benchmarks.verifiers import Verifiers, verifiers

CALLERS: Final = 32
WARM_UP: Final = 100
"""Changes that are made before those that are timed."""

DELAY: Final = 0.005
OWED_COMMITS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed, and what we would like: of keys issued and revoked a second, and of the p99."""

    issued: tuple[int, int]
    revoked: tuple[int, int]
    # Milliseconds; None: nothing is owed.
    p99: tuple[int, int] | None = None


ON_SQLITE: Final = Owed(issued=(1_500, 3_000), revoked=(1_000, 2_000), p99=(40, 20))
# Keys issued: three and five times 300/s, which is assumed: nobody measured it before changes went
# together.
ON_POSTGRES: Final = Owed(issued=(900, 1_500), revoked=(500, 1_500))
OWED_ON_SLOW_DISK: Final = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """Seconds that all of them took, and that each did; commits per change, if these were counted."""

    seconds: float
    latencies: Sequence[float]
    commits: float | None


@dataclass(frozen=True, slots=True)
class Together:
    """*count* changes of a kind, by 32 callers at once, through all *replicas* of the books at `where`.

    `commits` returns how many there were so far, in all replicas.
    """

    where: str
    replicas: Sequence[Authority]
    count: int
    logs: Path
    commits: Callable[[], int] | None = field(repr=False, default=None)
    # Verifiers that are connected while keys are revoked, and what runs them.
    connected: int = CONNECTED
    running: Callable[..., AbstractContextManager[Verifiers]] = field(repr=False, default=verifiers)

    def results(self, owed: Owed) -> Iterator[Figure]:
        """Yields all rows, as they are measured."""
        secrets, issuing = self.issue()
        what = f"`IssueKey`, {self.where}, {CALLERS} callers"
        yield _rate(what, issuing, owed.issued)
        yield _commits(what, issuing)
        revoking = self.revoke(secrets)
        what = f"`RevokeKey`, {self.where}, {CALLERS} callers, {self.connected} connected verifiers"
        yield _rate(what, revoking, owed.revoked)
        yield _waiting(what, revoking, owed.p99)
        yield _commits(what, revoking)

    def issue(self) -> tuple[dict[str, str], Changes]:
        """Issues keys; returns their secrets by their ids as well."""
        workspace_id = self.replicas[0].create_workspace()
        made, changes = self._change({"issue": (workspace_id, self.count)})
        secrets: dict[str, str] = made["secrets"]
        if len(secrets) != self.count:
            raise BenchmarkError(f"{len(secrets)} keys were issued, not {self.count}")
        return secrets, changes

    def revoke(self, secrets: dict[str, str]) -> Changes:
        """Revokes keys that connected verifiers have in their caches, and have dropped by then."""
        addresses = [*islice(cycle(self._addresses), self.connected)]
        with self.running(self.replicas[0], addresses, [*secrets.values()], self.logs) as others:
            others.wait_until_ready()
            made, changes = self._change({"revoke": [*secrets]})
            others.must_refuse()
        # The replicas are sessions as well.
        if made["sessions"] < (sessions := self.connected + len(self.replicas)):
            raise BenchmarkError(
                f"a revocation waited for {made['sessions']} sessions, not {sessions}"
            )
        return changes

    @property
    def _addresses(self) -> list[str]:
        return [replica.address for replica in self.replicas]

    def _change(self, changes: dict[str, Any]) -> tuple[Any, Changes]:
        plan = {
            "addresses": self._addresses,
            "token_file": str(self.replicas[0].token_file),
            "callers": CALLERS,
            "warm_up": min(WARM_UP, self.count // 2),
        }
        before = self.commits() if self.commits else 0
        made = probe("changes", {**plan, **changes})
        commits = (self.commits() - before) / self.count if self.commits else None
        return made, Changes(made["seconds"], made["latencies"], commits)


def on_sqlite(count: int, scratch: Path) -> Iterator[Figure]:
    """Measures *count* changes of a kind on SQLite, then revocations where each sync takes longer."""
    where = "SQLite"
    slow = f"`RevokeKey`, {where}, {CALLERS} callers, each fsync delayed by {DELAY * 1e3:.0f} ms"
    try:
        with slow_disk(scratch) as disk:
            yield from _on_disk(where, disk, slow, count, scratch)
    except NoCompilerError as reason:
        with running_authority(scratch / "together", scratch) as authority:
            yield from Together(where, [authority], count, scratch).results(ON_SQLITE)
        yield Figure(slow, f"not measured: {reason}")


def _on_disk(where: str, disk: SlowDisk, slow: str, count: int, scratch: Path) -> Iterator[Figure]:
    with running_authority(
        scratch / "together", scratch, environment=disk.environment
    ) as authority:
        together = Together(where, [authority], count, scratch, lambda: disk.commits)
        yield from together.results(ON_SQLITE)
        secrets, _ = together.issue()
        with disk.delayed(DELAY):
            yield _rate(slow, together.revoke(secrets), (OWED_ON_SLOW_DISK, 0))


def on_postgres(
    where: str, replicas: Sequence[Authority], count: int, scratch: Path
) -> Iterator[Figure]:
    """Measures *count* changes of a kind through *replicas* over one PostgreSQL database."""
    database = replicas[0].database
    commits = None if database is None else lambda: commits_of(database)
    yield from Together(where, replicas, count, scratch, commits).results(ON_POSTGRES)


def _rate(what: str, made: Changes, owed: tuple[int, int]) -> Figure:
    calls, (least, aim) = len(made.latencies), owed
    rate = calls / made.seconds
    aimed = f"{aim:,} /s" if aim else ""
    return Figure(what, f"{rate:,.0f} /s, {calls:,} calls", f"{least:,} /s", aimed, rate >= least)


def _waiting(what: str, made: Changes, owed: tuple[int, int] | None) -> Figure:
    what, latencies = f"how long each waits: {what}", Latencies.of(made.latencies)
    if owed is None:
        return Figure(what, str(latencies))
    most, aim = owed
    return Figure(what, str(latencies), f"p99 ≤ {most} ms", f"{aim} ms", latencies.p99 <= most)


def _commits(what: str, made: Changes) -> Figure:
    what = f"commits per change: {what}"
    if made.commits is None:
        return Figure(what, "not measured: there is no C compiler (cc) for what counts them")
    value, met = f"{made.commits:.2f}", made.commits <= OWED_COMMITS
    return Figure(what, value, f"≤ {OWED_COMMITS}", "", met)
