"""What a spender did so far, and what is in its spool: for metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What a spender did so far.

    `holds` are open: begun, and neither ended nor written down to have ended. `charges` were
    confirmed by the authority, of these `estimated` were; `refused_charges` are those that it could
    not enter, and that are brought again. `calls` were answered in `call_seconds` together,
    `failed_calls` were not. `taken` holds needed no call. `out_of_credits`, `all_held` and
    `unavailable` count the refused requests. `dropped` holds had no end, and were charged as held.
    """

    holds: int = 0
    taken: int = 0
    charges: int = 0
    estimated: int = 0
    refused_charges: int = 0
    dropped: int = 0
    calls: int = 0
    call_seconds: float = 0.0
    failed_calls: int = 0
    out_of_credits: int = 0
    all_held: int = 0
    unavailable: int = 0


@dataclass(frozen=True, slots=True)
class SpoolState:
    """What is in a spool."""

    holds: int
    """Holds without an end."""
    charges: int
    """Charges that the authority has not confirmed."""
    bytes: int
    """On the disk, with what stays there for `KEPT`; of the archive as last counted."""
    oldest_age: float
    """Seconds since the oldest of these charges was written; 0 without one."""
