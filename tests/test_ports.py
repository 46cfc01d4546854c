"""Ports that tests start servers on."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.ports import free_port, reserve

OTHER_RUN = "from tests.ports import free_port; print(free_port(), flush=True); input()"


@pytest.mark.skipif(sys.platform != "linux", reason="runs are kept apart on Linux only: use Linux")
def test_two_runs_side_by_side_have_ports_of_their_own() -> None:
    """What one run was given no other one is given, though nobody listens there yet."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", OTHER_RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
        ExitStack() as reserving,
    ):
        assert other.stdin is not None
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        with pytest.raises(OSError, match="in use"):
            reserve(theirs, reserving)
        other.stdin.close()
        other.wait()
        reserve(theirs, reserving)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    """Whoever that is."""
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        ExitStack() as reserving,
        pytest.raises(OSError, match="in use"),
    ):
        reserve(holder.getsockname()[1], reserving)


def test_the_system_gives_them_to_nobody_else() -> None:
    """A server that asks for any port, or a connection that goes out, gets one from elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as anywhere:
        assert free_port() < anywhere.getsockname()[1]
