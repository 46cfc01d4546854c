"""The operator's commands. `main` starts them; each loads what it needs when it is called."""

import os
import sys
from io import TextIOWrapper

from keyauthority.cli.root import root


def main() -> None:
    """Runs the command in `sys.argv` and exits: 0 done, 1 refused or failed, 2 usage."""
    # A terminal that can't show a name must not cost a secret that is shown only once.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # gRPC's own lines on ports in use and failed handshakes say less than ours. It reads this
    # variable when it is imported, later than here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    root(prog_name="keyauthority")
