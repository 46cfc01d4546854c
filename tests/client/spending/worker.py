"""A process that spends until it is killed: it says on its output what it begins and what returned.

`python worker.py FOLDER`. Each line is a word and a reference: `+hold` before the hold, `hold` when it
returned, and likewise for `charge`, `void` and `confirm`. It adopts first what others left.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from pathlib import Path

from keyauthority.client.spending.spool import Spool
from tests.client.spending.parts import charge, charged, hold, voided


def say(word: str, reference: str = "") -> None:
    """Writes a line, which outlives this process."""
    os.write(1, f"{word} {reference}\n".encode())


async def request(spool: Spool) -> None:
    """One request, which may be killed at any step."""
    name = secrets.token_hex(4)
    say("+hold", name)
    hold(spool, name)
    say("hold", name)
    await asyncio.sleep(random.random() / 100)
    if random.random() < 0.3:
        say("+void", name)
        await voided(spool, name)
        say("void", name)
    elif random.random() < 0.8:
        say("+charge", name)
        await charged(spool, charge(name))
        say("charge", name)
        if random.random() < 0.5:
            say("+confirm", name)
            spool.confirmed([name], 1)
            say("confirm", name)


async def main(folder: Path) -> None:
    """Runs until it is killed."""
    say("ready")
    spool = Spool(folder, segment_bytes=20_000)
    await spool.adopt()
    while True:
        await asyncio.gather(*(request(spool) for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
