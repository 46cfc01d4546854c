"""Channels, tokens, and what the base install needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from keyauthority.base.process import clocks
from keyauthority.base.process.settings import is_local
from keyauthority.client import PlaintextError, SecretFileError, connect, load_token
from tests.e2e.authority import authority_process


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "localhost:1", "unix:/a"]
)
async def test_plaintext_stays_on_this_machine(address: str) -> None:
    """Loopback and Unix sockets."""
    assert is_local(address)
    await connect(address).close()


@pytest.mark.parametrize(
    "address", ["192.0.2.1:1", "0.0.0.0:1", "authority:1", "localhost.example:1"]
)
async def test_plaintext_over_a_network_is_refused(address: str) -> None:
    """It would carry the token and every secret."""
    assert not is_local(address)
    with pytest.raises(PlaintextError):
        connect(address)


async def test_a_silent_connection_is_given_up_in_seconds(tmp_path: Path) -> None:
    """As the channel promises: a process that is stopped, without a word, is noticed by a ping."""
    async with authority_process(tmp_path / "data") as authority:
        try:
            os.kill(authority.pid, signal.SIGSTOP)
            call: Any = authority.channel.unary_unary("/grpc.health.v1.Health/Check")
            begun = clocks.boottime()
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call(b"", timeout=60)
        finally:
            os.kill(authority.pid, signal.SIGCONT)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    # It promises 8; a busy machine may take longer.
    assert clocks.boottime() - begun < 20


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_token_is_read_without_its_newline(tmp_path: Path, mode: int) -> None:
    """Its owner's file, or its group's; the token does not show itself."""
    token = load_token(write(tmp_path / "t", " optk-svc-1 \n", mode))

    assert token.reveal() == "optk-svc-1"
    assert "optk" not in repr(token)


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "t\u00f6ken"])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    """It may be a secret all the same."""
    with pytest.raises(SecretFileError, match="one secret") as error:
        load_token(write(tmp_path / "t", text))

    assert not text.strip() or text.strip() not in str(error.value)


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_file_open_to_all_is_refused(tmp_path: Path, mode: int) -> None:
    """Everybody on the machine would have the token."""
    with pytest.raises(SecretFileError, match="chmod 600"):
        load_token(write(tmp_path / "t", "token", mode))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """And so is a folder in its place."""
    with pytest.raises(SecretFileError, match="none"):
        load_token(tmp_path / "none")
    with pytest.raises(SecretFileError, match=tmp_path.name):
        load_token(tmp_path)


def test_the_client_needs_no_more_than_grpc_and_protobuf() -> None:
    """The base install of other services has nothing else."""
    extras = {"aiohttp", "alembic", "click", "cryptography", "prometheus_client", "sqlalchemy"}
    extras |= {"structlog", "uvloop", "yarl", "gateway", "console"}
    program = "import sys, keyauthority.client; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert not extras & {name.partition(".")[0] for name in done.stdout.split()}
