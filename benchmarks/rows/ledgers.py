"""What it costs to read a ledger of many entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.filling_ledger import fill_ledger
from benchmarks.loads import grpc_load
from keyauthority.client.admin import ledger
from keyauthority.v1.ledger_service_pb2 import GetBalanceRequest, ListEntriesRequest

FEW: Final = 10_000
_CREDITS: Final = 10**15
_READS: Final[dict[str, tuple[str, Any]]] = {
    "balance": ("GetBalance", GetBalanceRequest),
    "newest page of entries": ("ListEntries", ListEntriesRequest),
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """A data directory with one workspace, of whose ledger there are `count` entries."""

    data_dir: Path
    count: int
    workspace_id: str


def reading(
    measuring: Measuring, count: int, scratch: Path, few: int = FEW
) -> Iterator[Comparison]:
    """Compares reads of a ledger of *count* entries with those of one of *few*, on SQLite."""
    with ExitStack() as stack:
        both = []
        for entries in (count, few):
            stored = _filled(entries, scratch)
            authority = stack.enter_context(running_authority(stored.data_dir, scratch))
            both.append((authority, stored.workspace_id))
        # Reads of the two differ by little, so shorter runs do.
        shorter = replace(measuring, seconds=measuring.seconds / 2)
        for what, (method, request) in _READS.items():
            sides = [_side(authority, method, request(workspace_id=id_)) for authority, id_ in both]
            yield shorter.compare(
                f"{what}, ledger of {count:,} entries",
                sides[0],
                f"the same with {few:,} entries",
                sides[1],
                owed="0.80",
                aim="1.0",
            )


def _filled(count: int, scratch: Path) -> Ledger:
    data_dir = scratch / f"{count}-entries"
    with running_authority(data_dir, scratch) as authority:
        workspace_id = authority.create_workspace()
        authority.client.call(ledger.top_up(workspace_id, _CREDITS, "bench"))
    fill_ledger(data_dir, workspace_id, count)
    return Ledger(data_dir, count, workspace_id)


def _side(authority: Authority, method: str, request: Any) -> Side:
    name = f"LedgerService.{method}"
    load = grpc_load(
        authority.process.port,
        f"/keyauthority.v1.LedgerService/{method}",
        authority.token.reveal(),
        [request.SerializeToString()],
    )
    return Side(authority.process, load, counted=lambda: authority.counted_calls(name))
