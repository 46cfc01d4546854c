"""The PostgreSQL server of the tests itself: it runs wherever they do."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.ports import free_port
from tests.postgres import Server, binaries, within_reach
from tests.rights import can_run, other_user


def test_its_programs_are_within_its_users_reach(tmp_path: Path) -> None:
    """Also where they are installed below a folder that only root can enter."""
    place = tmp_path / "installed" / "bin"
    place.mkdir(parents=True)
    program = place / "initdb"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    tmp_path.chmod(0o700)

    assert can_run(within_reach(place) / "initdb", other_user())


def test_a_port_that_is_taken_is_left_for_another() -> None:
    """Whoever took it between the look and the start."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        ports = [free_port(), holder.getsockname()[1]]
        server = Server(binaries(), new_port=ports.pop)
        try:
            server.make()
            server.start()
            assert server.port != holder.getsockname()[1]
            port = server.port
            server.stop()
            server.start()
            assert server.port == port
        finally:
            server.remove()
