"""What measures itself from within: `python -m benchmarks.probes.<name> PLAN.json` prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keyauthority.client import Verdict, Verifier


def read_plan() -> dict[str, Any]:
    """Returns the plan, the program's last argument."""
    plan: dict[str, Any] = json.loads(Path(sys.argv[-1]).read_text())
    return plan


async def wait_for_lease(verifier: Verifier) -> None:
    """Returns when *verifier* holds a lease."""
    while not verifier.lease_held:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)


async def fill_cache(verifier: Verifier, secrets: Iterable[str]) -> None:
    """Has *verifier* verify *secrets*, which must be valid, or the program ends."""
    for secret in secrets:
        verification = await verifier.verify(secret)
        if verification.verdict is not Verdict.VALID:
            raise SystemExit(f"a good key is answered {verification.verdict.name}")
