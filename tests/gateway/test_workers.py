"""Several processes share the port: the real command, with `--workers`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from keyauthority.base.process.workers import worker_metrics
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse

START = 20
SOON = 10


class Gateway:
    """A running command, and what it logged so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = 0
        self.log: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """Read the log as far as *event*."""
        assert self.process.stderr is not None
        while True:
            line: dict[str, Any] = json.loads(await self.process.stderr.readline())
            self.log.append(line)
            if line["event"] == event:
                return line

    async def ask(self, secret: str) -> int:
        """The status of the answer to one request on a connection of its own."""
        return parse(await exchange(self.port, head(f"Authorization: Bearer {secret}"))).status


Start = Callable[..., Awaitable[Gateway]]


@asynccontextmanager
async def command(*arguments: str, folder: Path | None = None) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", *arguments), stderr=PIPE, cwd=folder
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.communicate(), SOON)


@pytest.fixture
async def start(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> AsyncIterator[Start]:
    """Starts gateways of two workers."""
    async with AsyncExitStack() as stack:

        async def start(*more: str, folder: Path | None = None) -> Gateway:
            gateway = Gateway(
                await stack.enter_async_context(
                    command(
                        *("--listen", "127.0.0.1:0", "--authority", authority.address),
                        *("--token-file", str(token_file), "--upstream", upstream.url),
                        *("--access-log", "off", "--grace", "1", "--workers", "2", *more),
                        folder=folder,
                    )
                )
            )
            async with asyncio.timeout(START):
                gateway.port = (await gateway.until("serving"))["port"]
            return gateway

        yield start


async def workers_of(authority: RecordingAuthority, count: int) -> list[int]:
    """The process ids of the next *count* workers that join the authority."""
    async with asyncio.timeout(START):
        names = [await authority.joined.get() for _ in range(count)]
    return [int(name.rpartition(":")[2]) for name in names]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until_refused(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.05)


async def test_all_workers_serve(
    start: Start, authority: RecordingAuthority, unused_port: int, http: ClientSession
) -> None:
    """Each verifies for itself and has metrics of its own, at the next port."""
    listen = f"127.0.0.1:{unused_port}"
    gateway = await start("--metrics-listen", listen)
    first, second = await workers_of(authority, 2)
    secret = authority.issue()

    async def forwarded(worker: int) -> bool:
        url = f"http://{worker_metrics(listen, worker)}/metrics"
        async with http.get(url) as response:
            text = await response.text()
        return 'gateway_requests_total{outcome="forwarded"} 0.0' not in text

    async with asyncio.timeout(START):
        while not (await forwarded(0) and await forwarded(1)):
            assert await gateway.ask(secret) == 200

    assert len({first, second, gateway.process.pid}) == 3


async def test_a_folder_named_like_the_program_is_not_run(
    start: Start, authority: RecordingAuthority, tmp_path: Path
) -> None:
    """Whoever may write where the operator stands does not get to run code with his rights."""
    stranger = tmp_path / "gateway"
    stranger.mkdir()
    (stranger / "__init__.py").touch()
    (stranger / "__main__.py").write_text("raise SystemExit('a stranger was run')")

    gateway = await start(folder=tmp_path)

    await workers_of(authority, 2)
    assert await gateway.ask(authority.issue()) == 200


async def test_a_worker_that_died_is_replaced(start: Start, authority: RecordingAuthority) -> None:
    """The other one serves meanwhile; the log says which one it was, and how it ended."""
    gateway = await start()
    first, _ = await workers_of(authority, 2)
    secret = authority.issue()

    os.kill(first, signal.SIGKILL)

    async with asyncio.timeout(START):
        died = await gateway.until("worker_died")
        assert await gateway.ask(secret) == 200
        (third,) = await workers_of(authority, 1)
    assert (died["worker"], died["exit_code"]) in {(0, -9), (1, -9)}
    assert is_running(third)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_workers(
    start: Start, authority: RecordingAuthority, number: signal.Signals
) -> None:
    """In order, with 0, and said once."""
    gateway = await start()
    pids = await workers_of(authority, 2)

    gateway.process.send_signal(number)

    _, errors = await asyncio.wait_for(gateway.process.communicate(), SOON)
    assert gateway.process.returncode == 0
    assert not any(map(is_running, pids))
    assert [json.loads(line)["event"] for line in errors.splitlines()] == [
        "stopping",
        "stopped",
    ]


async def test_workers_do_not_outlive_their_parent(
    start: Start, authority: RecordingAuthority
) -> None:
    """A port served by processes that nobody knows of would be nobody's to stop."""
    gateway = await start()
    await workers_of(authority, 2)

    gateway.process.kill()

    async with asyncio.timeout(SOON):
        await until_refused(gateway.port)


async def test_what_keeps_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    """As without workers."""
    missing = str(tmp_path / "none")
    async with command(
        *("--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"),
        *("--token-file", missing, "--workers", "3"),
    ) as process:
        _, errors = await asyncio.wait_for(process.communicate(), START)

    assert process.returncode == 1
    assert errors.decode() == f"Error: cannot read {missing}: No such file or directory\n"


async def test_a_port_that_other_workers_share_is_in_use(start: Start, token_file: Path) -> None:
    """A second gateway would take half of the first one's connections unnoticed."""
    gateway = await start()
    async with command(
        *("--listen", f"127.0.0.1:{gateway.port}", "--upstream", "http://127.0.0.1:1"),
        *("--token-file", str(token_file), "--workers", "2"),
    ) as process:
        _, errors = await asyncio.wait_for(process.communicate(), START)

    assert process.returncode == 1, errors
    assert b"in use" in errors
    assert len(errors.splitlines()) == 1
