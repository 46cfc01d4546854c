"""The operator's commands. What starts them is `main`; all else is loaded when it is needed."""

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
    # gRPC writes lines of its own on ports in use and failed handshakes; ours say more. It reads
    # this when it is imported, which none of the above does.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    root(prog_name="keyauthority")
