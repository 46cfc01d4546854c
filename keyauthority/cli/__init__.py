"""The operator's commands. What starts them is `main`; all else is loaded when it is needed."""

from keyauthority.cli.root import root


def main() -> None:
    """Runs the command in `sys.argv` and exits: 0 done, 1 refused or failed, 2 usage."""
    root(prog_name="keyauthority")
