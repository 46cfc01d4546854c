"""What a put costs in a verdict cache that is full, against one that has room.

PLAN.json: `capacity`, `puts`, `runs`. Prints a run's seconds for so many puts into a cache with room, into
a full one whose answers are all in use, and the longest single put of the latter.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from keyauthority.coherence.entries import Cached, Entries


def _measure(plan: dict[str, Any]) -> list[tuple[float, float, float]]:
    return [_run(plan["capacity"], plan["puts"]) for _ in range(plan["runs"])]


def _run(capacity: int, puts: int) -> tuple[float, float, float]:
    room, full = Entries[Cached](capacity + puts), Entries[Cached](capacity)
    for entries in (room, full):
        _put(entries, 0, capacity)
    # A cache that was full for long: as much has gone as is there, and all that is there is in use.
    _put(full, capacity, 2 * capacity)
    for _, entry in full:
        entry.used = True
    gc.collect()
    with_room, _ = _put(room, 2 * capacity, 2 * capacity + puts)
    at_bound, longest = _put(full, 2 * capacity, 2 * capacity + puts)
    return with_room, at_bound, longest


def _put(entries: Entries[Cached], first: int, end: int) -> tuple[float, float]:
    new = [
        (b"%032d" % n, Cached(f"key{n}", f"ws{n % 100}", 1e9, final=False))
        for n in range(first, end)
    ]
    longest, begun = 0.0, time.perf_counter()
    for digest, entry in new:
        before = time.perf_counter()
        entries.put(digest, entry)
        longest = max(longest, time.perf_counter() - before)
    return time.perf_counter() - begun, longest


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(Path(sys.argv[1]).read_text()))))
