"""The demo's children: one that loses its address to somebody else gets it when that one is gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.processes import Processes
from demo.settings import DemoError
from tests.e2e.processes import eventually, is_listening
from tests.ports import free_port


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "logs")
    yield made
    made.stop()


@pytest.fixture
def upstream(tmp_path: Path) -> tuple[list[str], str, int]:
    """The command of one, its address and its port."""
    key, port = tmp_path / "key", free_port()
    key.write_text("key\n")
    address = f"127.0.0.1:{port}"
    return ["demo.upstream", address, str(key)], address, port


def test_it_is_started_again(
    processes: Processes, upstream: tuple[list[str], str, int], tmp_path: Path
) -> None:
    """Whoever answers there meanwhile is not taken for it."""
    command, address, port = upstream
    with ThreadPoolExecutor(1) as pool:
        with socket.create_server(("127.0.0.1", port)):
            started = pool.submit(
                processes.start, "upstream", command, address, lambda: is_listening(port)
            )
            log = tmp_path / "logs" / "upstream.log"
            eventually("it has complained", lambda: log.exists() and address in log.read_text())
            assert not started.done()
        started.result()

    processes.check()
    assert is_listening(port)


def test_somebody_who_stays_is_named(
    processes: Processes, upstream: tuple[list[str], str, int]
) -> None:
    """In one sentence."""
    command, address, port = upstream
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(DemoError, match=f"can't listen on {address}: Address already in use$") as it,
    ):
        processes.start("upstream", command, address, lambda: is_listening(port))

    assert "\n" not in str(it.value)
