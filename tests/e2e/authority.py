"""The authority as a process of its own, to be killed or stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.client.channel import connect
from keyauthority.client.credentials import load_token

RUN = """
import sys
from pathlib import Path
from keyauthority.config import Settings
from keyauthority.base.relational.location import parse_location
from keyauthority.server import run
data, database = Path(sys.argv[1]), parse_location(sys.argv[2])
sys.exit(run(Settings("127.0.0.1:0", data, database, data / "keyring.json")))
"""

SERVING_WITHIN = 10.0
"""Seconds from a start to the first good answer: far more than it takes, on any machine."""

Token = tuple[tuple[str, str]]


class AuthorityProcess:
    """One run of the authority over a data directory, with a SQLite file in it or another database."""

    def __init__(self, data: Path, database: str = "") -> None:
        self.data = data
        self._database = database or str(data / "authority.db")
        self.log = data.parent / "authority.log"

    async def start(self) -> None:
        """Starts the process and returns when it says that it serves."""
        begun = time.monotonic()
        self.log.write_text("")
        with self.log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RUN, str(self.data), self._database, stderr=log
            )
        self.port = await self._port(begun + SERVING_WITHIN)
        self.channel = connect(f"127.0.0.1:{self.port}")
        self._token = (("authorization", self._bearer()),)
        while not await self.is_serving():
            assert time.monotonic() < begun + SERVING_WITHIN, self.log.read_text()
            await asyncio.sleep(0.01)
        assert time.monotonic() < begun + SERVING_WITHIN

    @property
    def pid(self) -> int:
        return self._process.pid

    async def is_serving(self) -> bool:
        """Whether it says that it can do its work."""
        health: Any = HealthStub(self.channel)
        answer = await health.Check(HealthCheckRequest(), timeout=5)
        return bool(answer.status == HealthCheckResponse.SERVING)

    @property
    def token(self) -> Token:
        """The root token, as metadata."""
        return self._token

    def kill(self) -> None:
        """Ends it as a power switch would."""
        self._process.kill()

    def terminate(self) -> None:
        """Asks it to stop."""
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, within: float) -> int:
        """The exit code."""
        async with asyncio.timeout(within):
            code = await self._process.wait()
        await self.channel.close()
        return code

    def _bearer(self) -> str:
        return f"Bearer {load_token(self.data / 'root.token').reveal()}"

    async def _port(self, deadline: float) -> int:
        while time.monotonic() < deadline and self._process.returncode is None:
            for line in self.log.read_text().splitlines():
                if '"serving"' in line:
                    port: int = json.loads(line)["port"]
                    return port
            await asyncio.sleep(0.01)
        raise AssertionError(f"it does not serve: {self.log.read_text()}")


@asynccontextmanager
async def authority_process(data: Path, database: str = "") -> AsyncIterator[AuthorityProcess]:
    """A started process, killed at the end if it still runs."""
    process = AuthorityProcess(data, database)
    try:
        await process.start()
        yield process
    finally:
        if process._process.returncode is None:
            process.kill()
            await process._process.wait()
        if hasattr(process, "channel"):
            await process.channel.close()
