"""What a killed run leaves behind is removed by the next."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.processes import eventually
from tests.leftovers import remove_abandoned
from tests.postgres import binaries
from tests.rights import folder_of, other_user

RUN = """
import sys
from pathlib import Path
from tests.postgres import new_server

server = new_server(Path(sys.argv[1]))
print((server.data / "postmaster.pid").read_text().split()[0], flush=True)
sys.stdin.read()
"""


def test_a_killed_run_leaves_its_server_to_the_next() -> None:
    binaries()
    parent = folder_of(other_user(), Path(tempfile.gettempdir()))
    command = [sys.executable, "-c", RUN, str(parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        server = Path("/proc", run.stdout.readline().decode().strip())
        remove_abandoned(parent, young=0)
        assert _runs(server)
        assert len(list(parent.iterdir())) == 1
        run.kill()

    remove_abandoned(parent)
    assert len(list(parent.iterdir())) == 1, "it may be about to be locked"
    remove_abandoned(parent, young=0)

    assert list(parent.iterdir()) == []
    eventually("the server ended", lambda: not _runs(server))
    parent.rmdir()


def _runs(process: Path) -> bool:
    # In a container nobody may collect what ended: its entry stays, without a command line.
    try:
        return bool((process / "cmdline").read_bytes())
    except FileNotFoundError:
        return False
