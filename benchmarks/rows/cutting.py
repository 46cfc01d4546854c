"""How long a change takes at worst: while one verifier can't be reached."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError, Process
from benchmarks.results import Figure
from benchmarks.verifiers import Verifiers, stopped, verifiers, wire
from keyauthority.client.admin import Call, KeySettings, Receipt, keys, workspaces

OTHERS: Final = 9
"""Verifiers that can be reached."""

ALLOWANCE: Final = 0.1
"""Seconds that a change may take on top of W."""


def fenced_changes(key_id: str, workspace_id: str) -> list[Call[Any]]:
    """Returns a change of each kind that waits for verifiers; the last one revokes the key."""
    return [
        keys.update(key_id, KeySettings("", disabled=True), ["disabled"]),
        keys.rotate(key_id),
        workspaces.update(workspace_id, suspended=True),
        workspaces.update(workspace_id, suspended=False),
        keys.revoke(key_id),
    ]


def frozen(where: str, authority: Authority, count: int, logs: Path) -> Figure:
    """Measures *count* changes while the process of one verifier is stopped."""
    with _one_more(authority, authority.address, logs) as (changes, verifier):
        seconds = [
            _change(authority, change, verifier, verifier.process)
            for change in islice(cycle(changes), count)
        ]
    what = f"any fenced change, {where}, one verifier frozen (SIGSTOP)"
    return _figure(what, authority, seconds)


def cut_off(where: str, authority: Authority, count: int, logs: Path) -> Figure:
    """Measures *count* changes while one verifier and the authority can't reach each other."""
    with (
        wire(authority.process, logs) as way,
        _one_more(authority, way.address, logs) as (changes, verifier),
    ):
        seconds = [
            _change(authority, change, verifier, way) for change in islice(cycle(changes), count)
        ]
    return _figure(f"any fenced change, {where}, one verifier cut off", authority, seconds)


@contextmanager
def _one_more(
    authority: Authority, address: str, logs: Path
) -> Iterator[tuple[list[Call[Any]], Verifiers]]:
    # Beside others, a verifier that reaches the authority at *address*, and changes that concern it.
    workspace_id = authority.create_workspace()
    ((key_id, secret),) = authority.issue(1, workspace_id)
    with (
        verifiers(authority, [authority.address] * OTHERS, [secret], logs),
        verifiers(authority, [address], [secret], logs) as verifier,
    ):
        yield fenced_changes(key_id, workspace_id), verifier


def _change(
    authority: Authority, change: Call[Any], verifier: Verifiers, to_stop: Process
) -> float:
    verifier.wait_for_leases()
    with stopped(to_stop):
        start = time.perf_counter()
        receipt: Receipt = authority.client.call(change).receipt
        seconds = time.perf_counter() - start
    # The authority itself is a session as well.
    if receipt.leases_waited_out < 1 or receipt.sessions_acknowledged <= OTHERS:
        raise BenchmarkError(
            f"{receipt.leases_waited_out} leases were waited out, "
            f"{receipt.sessions_acknowledged} sessions have acknowledged"
        )
    return seconds


def _figure(what: str, authority: Authority, seconds: list[float]) -> Figure:
    worst, bound = max(seconds), authority.longest_wait() + ALLOWANCE
    owed = f"≤ W + {ALLOWANCE * 1000:.0f} ms = {bound:.3f} s"
    return Figure(what, f"worst {worst:.3f} s, {len(seconds)} changes", owed, "", worst <= bound)
