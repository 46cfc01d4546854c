"""The machine and the programs that the numbers were measured with."""

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
    """Returns what tells the machine from others."""
    memory = int(_first(r"MemTotal:\s*([0-9]+)", "/proc/meminfo")) / 2**20
    return {
        "CPU": _first(r"model name\s*: (.*)", "/proc/cpuinfo"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def load_average() -> str:
    """Returns how many processes wanted a core in the last minute, on average."""
    return f"{os.getloadavg()[0]:.2f}"


def versions() -> dict[str, str]:
    """Returns the versions of what was measured and of what measured it."""
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "SQLite": sqlite3.sqlite_version,
        **{name: _tool_version(name) for name in _TOOLS},
    }


def _first(pattern: str, path: str) -> str:
    match = re.search(pattern, Path(path).read_text())
    return match[1] if match else "unknown"


def _tool_version(name: str) -> str:
    if shutil.which(name) is None:
        return "not here: a Python generator stood in"
    run = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"[0-9]+\.[0-9][^ \n]*", run.stdout)
    return match[0] if match else "unknown"
