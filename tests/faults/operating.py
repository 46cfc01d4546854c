"""Who changes things, and who asks the authorities directly: a process in a namespace of its own.

    python -m tests.faults.operating ADDRESSES TLS_CA TOKEN_FILE SEED NEWS RECORDS

ADDRESSES are separated by commas. Commands are lines of JSON on standard input, each answered by one
on standard output: `issue`, `introduce` and `revoke` (of a key), `sessions`, `churn` (changes all the time, until told
to `rest`). New secrets go to the file NEWS for the clients. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from tests.faults.authorities import Authorities
from tests.faults.changing import Changing, Key
from tests.faults.churning import Worker
from tests.faults.history import Recorder

WORKERS = 4


class Commands:
    """What the test asks for."""

    def __init__(self, changing: Changing) -> None:
        self._changing = changing
        self._tasks: list[asyncio.Task[None]] = []
        self._keys: dict[str, Key] = {}
        self._workspace = ""

    async def issue(self, *, quiet: bool = False) -> dict[str, Any]:
        self._workspace = self._workspace or await self._changing.workspace()
        key = await self._changing.issue(self._workspace, quiet=quiet)
        self._keys[key.id] = key
        return {"key": key.id, "secret": key.secret}

    async def revoke(self, key: str) -> dict[str, Any]:
        answer: Message = (await self._changing.revoke(self._keys[key])).receipt
        return {"receipt": str(answer)}

    async def introduce(self, key: str) -> dict[str, Any]:
        """Has a new caller ask everybody about the key."""
        await self._changing.introduce(self._keys[key])
        return {}

    async def sessions(self) -> dict[str, Any]:
        """The names of all who may hold a lease."""
        return {"names": await self._changing.sessions()}

    async def churn(self) -> dict[str, Any]:
        chance = self._changing.authorities.random
        workers = [Worker(self._changing, chance) for _ in range(WORKERS)]
        self._tasks = [asyncio.create_task(worker.work()) for worker in workers]
        self._tasks.append(asyncio.create_task(self._verify_always()))
        return {}

    async def rest(self) -> dict[str, Any]:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        return {
            "failed": [repr(end) for end in ended if not isinstance(end, asyncio.CancelledError)]
        }

    async def _verify_always(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self._changing.secrets:
                await self._changing.verify()


async def main(
    addresses: str, tls_ca: str, token_file: str, seed: str, news: str, records: str
) -> None:
    token = Path(token_file).read_text().strip()
    authorities = Authorities(addresses.split(","), Path(tls_ca), token, int(seed))
    recorder = Recorder(Path(records))
    commands = Commands(Changing(authorities, recorder, Path(news)))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        answer = await getattr(commands, command.pop("do"))(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await commands.rest()
    recorder.close()
    await authorities.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
