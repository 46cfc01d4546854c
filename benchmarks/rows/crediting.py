"""How long top-ups and reductions take while verifiers spend the workspace's credits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count as counting
from pathlib import Path
from typing import Any, Final

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure, Latencies
from benchmarks.rows.revoking import CONNECTED, revoke
from benchmarks.verifiers import Verifiers, verifiers
from keyauthority.client.admin import Call, Receipt, ledger

OWED: Final = 1.2
"""How long they may take at p99, as a multiple of `RevokeKey`."""

_AMOUNT: Final = 1_000
_numbers = counting(1)


def crediting(where: str, authority: Authority, count: int, scratch: Path) -> Iterator[Figure]:
    """Measures *count* changes of each kind, in turn with as many of `RevokeKey`."""
    workspace_id = authority.create_workspace()
    authority.credit(workspace_id)
    # The last key is the one that credits are spent for.
    key_ids, secrets = zip(*authority.issue(count + 1, workspace_id), strict=True)
    spool = scratch / f"spool-{workspace_id}"
    spool.mkdir(mode=0o700)
    addresses = [authority.address] * CONNECTED
    with verifiers(authority, addresses, secrets, scratch, spool=spool) as spending:
        spending.wait_until_ready()
        turns = [_turn(authority, workspace_id, key_id, spending) for key_id in key_ids[:-1]]
    authority.proof(workspace_id)
    top_ups, reductions, revocations = map(Latencies.of, zip(*turns, strict=True))
    whose = f"{where}, {CONNECTED} verifiers that spend"
    yield Figure(f"`RevokeKey`, in turn with these, {whose}", str(revocations))
    yield _figure(f"`TopUp`, {whose}", top_ups, revocations)
    yield _figure(f"`Adjust` below zero, {whose}", reductions, revocations)


def _turn(
    authority: Authority, workspace_id: str, key_id: str, spending: Verifiers
) -> tuple[float, float, float]:
    # The authority is a session as well.
    sessions = CONNECTED + 1
    top_up, _ = _change(
        authority, ledger.top_up(workspace_id, _AMOUNT, f"purchase {next(_numbers)}")
    )
    revocation = revoke(authority, key_id, sessions)
    before = spending.state().spending
    reduction, receipt = _change(authority, ledger.adjust(workspace_id, -_AMOUNT, "bench"))
    after = spending.state().spending
    if (before, after) != (CONNECTED, 0):
        raise BenchmarkError(f"{before} verifiers had credits before a reduction, {after} after it")
    if (fenced := receipt.sessions_acknowledged + receipt.leases_waited_out) < sessions:
        raise BenchmarkError(f"a reduction waited for {fenced} sessions only")
    return top_up, reduction, revocation


def _change(authority: Authority, change: Call[Any]) -> tuple[float, Receipt]:
    start = time.perf_counter()
    receipt: Receipt = authority.client.call(change).receipt
    return time.perf_counter() - start, receipt


def _figure(what: str, latencies: Latencies, revocations: Latencies) -> Figure:
    ratio = latencies.p99 / revocations.p99
    value = f"p99 {ratio:.2f} times that of `RevokeKey`: {latencies}"
    return Figure(what, value, f"≤ {OWED} times", "", ratio <= OWED)
