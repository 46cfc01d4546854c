"""What a put costs in a verdict cache that is full, against one that has room.

PLAN.json: `capacity`, `puts`, `runs`. Prints, for each run, the seconds of all puts into a cache
with room, those into a full one whose answers are all in use, and the latter's longest single put.
"""

from __future__ import annotations

import gc
import json
import time

from benchmarks.probes import read_plan
from keyauthority.coherence.entries import Cached, Entries


def _run(capacity: int, puts: int) -> tuple[float, float, float]:
    room, full = Entries[Cached](capacity + puts), Entries[Cached](capacity)
    for entries in (room, full):
        _put(entries, 0, capacity)
    # A cache that was full for long: as many entries have gone as there are, and all are in use.
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
    longest, start = 0.0, time.perf_counter()
    for digest, entry in new:
        before = time.perf_counter()
        entries.put(digest, entry)
        longest = max(longest, time.perf_counter() - before)
    return time.perf_counter() - start, longest


if __name__ == "__main__":
    plan = read_plan()
    print(json.dumps([_run(plan["capacity"], plan["puts"]) for _ in range(plan["runs"])]))
