"""Revoking as operators and clients see it, through restarts, crashes and gateways that stand still."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.edge import Edge, edge_running
from tests.e2e.new_books import new_books
from tests.e2e.processes import PATIENCE, Process, eventually
from tests.e2e.questions import Questions, ask


@contextmanager
def edge_with(folder: Path, lease: float) -> Iterator[Edge]:
    """An installation whose leases last *lease* seconds."""
    (folder / "data").mkdir(mode=0o700)
    new_books(folder / "data" / "keyauthority.db", lease)
    with edge_running(folder) as edge:
        yield edge


@pytest.fixture
def story_edge(tmp_path: Path) -> Iterator[Edge]:
    """As it is when nobody changed anything."""
    with edge_running(tmp_path) as edge:
        yield edge


def joined(edge: Edge, verifiers: int) -> None:
    """Returns once so many hold a lease."""
    eventually("all have joined", lambda: edge.operator.verifiers() == verifiers)


def cli(edge: Edge, *arguments: str) -> subprocess.Popen[str]:
    """`keyauthority ARGUMENT...`, under way."""
    env = {
        **os.environ,
        "KEYAUTHORITY_ADDRESS": edge.address,
        "KEYAUTHORITY_TOKEN_FILE": str(edge.data_dir / "root.token"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "keyauthority", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def told(command: subprocess.Popen[str]) -> str:
    """What it prints once it has done what it was told."""
    out, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, err
    return out


def new_key(edge: Edge) -> tuple[str, str]:
    """A key's id and its secret."""
    key, secret = edge.operator.issue(edge.operator.workspace())
    return key.id, secret


def asked(port: int, secret: str) -> int:
    return asyncio.run(ask(port, secret))


@asynccontextmanager
async def waiting(port: int, secret: str) -> AsyncIterator[Questions]:
    """A question that was asked of a gateway that does not move."""
    questions = await Questions.to(port)
    questions.send(secret)
    try:
        yield questions
    finally:
        questions.abort()


def first_answer(gateway: Process, port: int, secret: str) -> int:
    """What a gateway that stands still answers a question that it finds as it wakes."""

    async def wake() -> int:
        async with waiting(port, secret) as questions, asyncio.timeout(PATIENCE):
            await asyncio.sleep(0.05)
            gateway.send(signal.SIGCONT)
            return await questions.status()

    return asyncio.run(wake())


def test_a_gateway_that_starts_anew(story_edge: Edge) -> None:
    """What its predecessor refused it refuses too, and good keys go on."""
    edge = story_edge
    (key, revoked), (_, good) = new_key(edge), new_key(edge)
    assert asked(edge.port, revoked) == 200
    edge.operator.revoke(key)
    assert asked(edge.port, revoked) == 401

    edge.gateway.send(signal.SIGKILL)
    again = edge.start_gateway()

    assert [asked(again.port(), secret) for secret in (revoked, good)] == [401, 200]


def test_stopped_cleanly_soon_after_a_crash(tmp_path: Path) -> None:
    """Leases of before the crash are waited out, though there was a clean stop since."""
    with edge_with(tmp_path, lease=6) as edge:
        joined(edge, 2)
        key, secret = new_key(edge)
        assert asked(edge.port, secret) == 200
        edge.gateway.send(signal.SIGSTOP)
        edge.authority.send(signal.SIGKILL)
        edge.authority = edge.start_authority()
        edge.authority.port()
        assert edge.authority.stop() == 0
        edge.authority = edge.start_authority()
        edge.authority.port()

        edge.operator.revoke(key)

        assert first_answer(edge.gateway, edge.port, secret) != 200
        assert asked(edge.port, secret) != 200


def test_told_to_stop_while_a_change_waits(tmp_path: Path) -> None:
    """The change is answered, with its receipt, before the authority ends."""
    with edge_with(tmp_path, lease=1.5) as edge:
        joined(edge, 2)
        key, secret = new_key(edge)
        assert asked(edge.port, secret) == 200
        edge.gateway.send(signal.SIGSTOP)
        revoking = cli(edge, "keys", "revoke", key)
        eventually("it is made", lambda: edge.operator.is_revoked(key))

        edge.authority.send(signal.SIGTERM)

        assert "1 lease waited out" in told(revoking)
        assert first_answer(edge.gateway, edge.port, secret) != 200
        assert edge.authority.wait() == 0
