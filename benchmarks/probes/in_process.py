"""How often a second a verifier answers from its cache.

PLAN.json: `address`, `token_file`, `secrets`, `seconds`, `runs`. Prints, for `verify` and for
`peek`, the runs' rates: calls a second, and calls a second of this process's CPU time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from keyauthority.client import Verdict, Verifier, load_token

Round = Callable[[Verifier, Sequence[str]], Awaitable[None]]


async def _measure(plan: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    token, secrets = load_token(Path(plan["token_file"])), plan["secrets"]
    async with Verifier(plan["address"], token=token, timeout=10) as verifier:
        while not verifier.lease_held:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        for secret in secrets:
            if (await verifier.verify(secret)).verdict is not Verdict.VALID:
                raise SystemExit("a good key is refused")
        return {
            name: [
                await _run(round_, verifier, secrets, plan["seconds"]) for _ in range(plan["runs"])
            ]
            for name, round_ in (("verify", _verify), ("peek", _peek))
        }


async def _run(
    round_: Round, verifier: Verifier, secrets: Sequence[str], seconds: float
) -> tuple[float, float]:
    done, before = 0, verifier.counters.hits
    begun, used = time.perf_counter(), time.process_time()
    while (took := time.perf_counter() - begun) < seconds:
        await round_(verifier, secrets)
        done += len(secrets)
        # The lease is renewed meanwhile.
        await asyncio.sleep(0)
    used = time.process_time() - used
    if verifier.counters.hits - before != done:
        raise SystemExit("not every answer came from the cache")
    return done / took, done / used


async def _verify(verifier: Verifier, secrets: Sequence[str]) -> None:
    for secret in secrets:
        await verifier.verify(secret)


async def _peek(verifier: Verifier, secrets: Sequence[str]) -> None:
    for secret in secrets:
        verifier.peek(secret)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_measure(json.loads(Path(sys.argv[1]).read_text())))))
