"""Node, for the tests that drive something written for it."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "e2e" / "node"


def node_with_packages() -> str:
    """The path of Node, with the packages of `FOLDER` installed beside the scripts that use them.

    Skips the test, and says why, where they can't be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm: install Node 22 or newer with npm")
    with (FOLDER / "package.json").open() as listing:
        # Another run may be installing them.
        fcntl.flock(listing, fcntl.LOCK_EX)
        packages = json.load(listing)["dependencies"]
        if not all((FOLDER / "node_modules" / package).exists() for package in packages):
            _install(npm)
    return node


def _install(npm: str) -> None:
    command = [npm, "install", "--no-audit", "--no-fund", "--silent"]
    try:
        installed = subprocess.run(command, cwd=FOLDER, check=False, timeout=50).returncode == 0
    except subprocess.TimeoutExpired:
        installed = False
    if not installed:
        pytest.skip("needs the packages of tests/e2e/node: npm can't reach its registry")
