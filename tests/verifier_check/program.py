"""The shipped `Verifier` as a program that `keyauthority verifier-check` can ask.

`python -m tests.verifier_check.program [remembers]`: the latter puts a cache of its own over it, which is
wrong: it hears of no change.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from keyauthority.client import Secret, VerificationUnavailable, Verifier

REMEMBERED: dict[str, str] = {}


async def answer(verifier: Verifier, question: str) -> None:
    """Writes the verdict on one question."""
    asked = json.loads(question)
    secret = asked["verify"]
    try:
        verdict = REMEMBERED.get(secret) or (await verifier.verify(secret)).verdict.name
    except VerificationUnavailable:
        verdict = "UNAVAILABLE"
    if "remembers" in sys.argv:
        REMEMBERED[secret] = verdict
    sys.stdout.write(json.dumps({"id": asked["id"], "verdict": verdict}) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Answers the questions on standard input until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    address, token = os.environ["KEYAUTHORITY_ADDRESS"], Secret(os.environ["KEYAUTHORITY_TOKEN"])
    async with (
        Verifier(address, token=token, timeout=5.0) as verifier,
        asyncio.TaskGroup() as tasks,
    ):
        while line := await reader.readline():
            tasks.create_task(answer(verifier, line.decode()))


if __name__ == "__main__":
    asyncio.run(main())
