"""How often a second a verifier answers from its cache.

PLAN.json: `address`, `token_file`, `secrets`, `seconds`, `runs`. Prints, for `verify` and for
`peek`, the runs' rates: calls a second, and calls a second of this process's CPU time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.probes import fill_cache, read_plan, wait_for_lease
from keyauthority.client import Verifier, load_token

Round = Callable[[Verifier, Sequence[str]], Awaitable[None]]


async def _measure(plan: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    token, secrets = load_token(Path(plan["token_file"])), plan["secrets"]
    async with Verifier(plan["address"], token=token, timeout=10) as verifier:
        await wait_for_lease(verifier)
        await fill_cache(verifier, secrets)
        rounds = {"verify": _verify, "peek": _peek}
        return {
            name: [
                await _run(round_, verifier, secrets, plan["seconds"]) for _ in range(plan["runs"])
            ]
            for name, round_ in rounds.items()
        }


async def _run(
    round_: Round, verifier: Verifier, secrets: Sequence[str], seconds: float
) -> tuple[float, float]:
    calls, hits = 0, verifier.counters.hits
    start, cpu = time.perf_counter(), time.process_time()
    while (wall := time.perf_counter() - start) < seconds:
        await round_(verifier, secrets)
        calls += len(secrets)
        # The lease is renewed meanwhile.
        await asyncio.sleep(0)
    cpu = time.process_time() - cpu
    if verifier.counters.hits - hits != calls:
        raise SystemExit("not every answer came from the cache")
    return calls / wall, calls / cpu


async def _verify(verifier: Verifier, secrets: Sequence[str]) -> None:
    for secret in secrets:
        await verifier.verify(secret)


async def _peek(verifier: Verifier, secrets: Sequence[str]) -> None:
    for secret in secrets:
        verifier.peek(secret)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_measure(read_plan()))))
