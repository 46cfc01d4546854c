"""How much memory verdicts take in a verifier's cache.

PLAN.json: `address`, `token_file`, `secrets`, `warm_up`. Prints by how many bytes the process's
resident memory grew while the verdicts on *secrets* but the first *warm_up* came in.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.probes import fill_cache, read_plan, wait_for_lease
from keyauthority.client import Verifier, load_token

CALLS: Final = 32
"""Under way at a time."""


async def _measure(plan: dict[str, Any]) -> int:
    token, secrets, warm_up = load_token(Path(plan["token_file"])), plan["secrets"], plan["warm_up"]
    async with Verifier(
        plan["address"], token=token, timeout=10, capacity=len(secrets)
    ) as verifier:
        await wait_for_lease(verifier)
        await _fill(verifier, iter(secrets[:warm_up]))
        before = _resident()
        await _fill(verifier, iter(secrets[warm_up:]))
        after = _resident()
        if verifier.entries != len(secrets):
            raise SystemExit(f"{verifier.entries} verdicts are in the cache")
        return after - before


async def _fill(verifier: Verifier, secrets: Iterator[str]) -> None:
    await asyncio.gather(*(fill_cache(verifier, secrets) for _ in range(CALLS)))


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_measure(read_plan()))))
