"""How often and how soon a spender does what nobody waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds. Those that are the default fit the authority's own."""

    looks: float = 1.0
    """From one look at what idles to the next."""
    period: float = 1.0
    """Over which it is counted what requests take of a workspace's credits."""
    idle: float = 10.0
    """After which credits that were not needed are given back: a lease."""
    flush: float = 1.0
    """That charges wait at most before they are brought, if the authority is well."""
    closes: float = 0.03
    """From a change of credits to what is given back by it, if nobody waits for more."""
    adopts: float = 5.0
    """From one look for spools without an owner to the next."""
    retries: float = 60.0
    """After which charges that could not be entered are brought again."""
    settled_within: float = 3.0
    """For the last calls, at the end."""
    segment_bytes: int = 8 << 20
    """Bytes after which the spool begins a new file, beside those that it began with."""


USUAL: Final = Pace()
"""The pace of a spender that has no other."""
