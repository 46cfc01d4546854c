"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = (
    "grpcio",
    "protobuf",
    "aiohttp",
    "uvloop",
    "SQLAlchemy",
    "aiosqlite",
    "asyncpg",
)
_TOOLS: Final = ("h2load", "wrk")


def machine() -> dict[str, str]:
    """The machine, by what a reader would ask first."""
    memory = int(_first(r"MemTotal:\s*([0-9]+)", "/proc/meminfo")) / 2**20
    return {
        "CPU": _first(r"model name\s*: (.*)", "/proc/cpuinfo"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def load_average() -> str:
    """How many processes wanted a core in the last minute, on average."""
    return f"{os.getloadavg()[0]:.2f}"


def versions() -> dict[str, str]:
    """Versions of what was measured and of what measured it."""
    libraries = {name: version(name) for name in _LIBRARIES}
    tools = {name: _tool(name) for name in _TOOLS}
    return {
        "Python": platform.python_version(),
        **libraries,
        "SQLite": sqlite3.sqlite_version,
        **tools,
    }


def _first(pattern: str, path: str) -> str:
    found = re.search(pattern, Path(path).read_text())
    return found[1] if found else "unknown"


def _tool(name: str) -> str:
    if shutil.which(name) is None:
        return "not here: a Python generator stood in"
    said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"[0-9]+\.[0-9][^ \n]*", said)
    return found[0] if found else "unknown"
