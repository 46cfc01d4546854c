"""The rows that `GRANT` reads, as the model's and the simulation's books would have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One row: its fields are the columns of `GRANT`. Leases are in milliseconds."""

    epoch: int
    revision: int
    lease: int
    longest_lease: int
    settling: bool
    foreign_secrets: bool
    caller_id: str | None
    oldest_change: int | None
    version: int = 1
    revoke_time: None = None
    subject: str | None = None


def with_changes(row: GrantRow, changes: Iterable[tuple[int, str]]) -> list[GrantRow]:
    """The row for each change; the row alone if there is none."""
    return [replace(row, subject=subject) for _, subject in changes] or [row]
