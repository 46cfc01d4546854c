"""The commands of the package. The base install has the client alone: a command says what it lacks.

Nothing is imported here that an extra brings.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

_OURS: Final = ("keyauthority", "gateway", "console")


def keyauthority() -> None:
    """Runs `keyauthority`."""
    _run("keyauthority", "keyauthority.cli", "server")


def gateway() -> None:
    """Runs `keyauthority-gateway`."""
    _run("keyauthority-gateway", "gateway.cli", "gateway")


def console() -> None:
    """Runs `keyauthority-console`."""
    _run("keyauthority-console", "console.cli", "console")


def _run(command: str, module: str, extra: str) -> None:
    try:
        import_module(module).main()
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in _OURS:
            raise
        sys.exit(
            f"{command}: the package {name} is missing: pip install 'opentoken-keyauthority[{extra}]'"
        )
