"""A process that lets requests through until it is killed.

`python worker.py ADDRESS FOLDER TOKEN WORKSPACE KEY`. It says on its output what it begins, and which
cost it was told to charge: `hold REFERENCE AMOUNT`, `charge REFERENCE COST`, `void REFERENCE`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from keyauthority.client import Request, Secret, Spender, VerifiedKey, Verifier


def say(*words: object) -> None:
    """Writes a line, which outlives this process."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def request(spender: Spender, key: VerifiedKey) -> None:
    """One request, which may be killed at any step."""
    amount = random.randint(5, 20)
    one = await spender.hold(key, amount, Request("gpt-5", "/v1/x", "req_1"), least=amount)
    say("hold", one.reference, amount)
    await asyncio.sleep(random.random() / 20)
    if random.random() < 0.2:
        say("void", one.reference)
        one.void()
    else:
        cost = random.randint(0, amount)
        say("charge", one.reference, cost)
        one.charge(cost, status=200)


async def main(address: str, folder: str, token: str, workspace: str, key_id: str) -> None:
    """Runs until it is killed."""
    key = VerifiedKey(key_id, workspace, "", (), {})
    async with (
        Verifier(address, token=Secret(token)) as verifier,
        Spender(verifier, Path(folder), timeout=10) as spender,
    ):
        say("ready")
        while True:
            await asyncio.gather(*(request(spender, key) for _ in range(10)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
