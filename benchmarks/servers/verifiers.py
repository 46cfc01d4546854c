"""Real verifiers that have verdicts in their caches: PORT, PLAN.json.

Listens once each verifier holds a lease and has each secret's verdict. Tells whoever connects how
many hold a lease, how many verdicts `VALID` they would give from memory, and how many have credits to
spend, all together. With a spool they spend: each has credits again when it has told.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.probes import fill_cache, read_plan, wait_for_lease
from keyauthority.client import Request, Spender, Verdict, VerifiedKey, Verifier, load_token

TIMEOUT = 10.0
"""Seconds for a verdict while the caches fill, and for credits."""

HELD = 1_000


async def _serve(port: int, plan: dict[str, Any]) -> None:
    token, secrets = load_token(Path(plan["token_file"])), plan["secrets"]
    async with AsyncExitStack() as stack:
        verifiers = [
            await stack.enter_async_context(Verifier(address, token=token, timeout=TIMEOUT))
            for address in plan["addresses"]
        ]
        await asyncio.gather(*map(wait_for_lease, verifiers))
        await asyncio.gather(*(fill_cache(verifier, secrets) for verifier in verifiers))
        spenders = [
            await stack.enter_async_context(Spender(verifier, Path(plan["spool"]), timeout=TIMEOUT))
            for verifier in (verifiers if plan["spool"] else [])
        ]
        key = (await verifiers[0].verify(secrets[-1])).key

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(json.dumps(_state(verifiers, spenders, secrets)).encode())
            await asyncio.gather(*(_spend(spender, key) for spender in spenders))
            writer.close()

        stop = asyncio.Event()
        # They leave then: otherwise the next change would wait for them.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with await asyncio.start_server(tell, "127.0.0.1", port):
            await stop.wait()


async def _spend(spender: Spender, key: VerifiedKey | None) -> None:
    if key is not None and not spender.slices:
        spending = await spender.hold(key, HELD, Request("bench", "/v1/bench", "req_bench"))
        spending.void()


def _state(
    verifiers: Sequence[Verifier], spenders: Sequence[Spender], secrets: Sequence[str]
) -> dict[str, int]:
    cached = (verifier.peek(secret) for verifier in verifiers for secret in secrets)
    return {
        "leases": sum(verifier.lease_held for verifier in verifiers),
        "valid": sum(entry is not None and entry.verdict is Verdict.VALID for entry in cached),
        "spending": sum(spender.slices for spender in spenders),
    }


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), read_plan()))
