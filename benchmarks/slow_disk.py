"""A disk whose syncs are counted, and slow if need be: a shim in one process (`slow_disk.c`)."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import BenchmarkError

_SOURCE: Final = Path(__file__).with_name("slow_disk.c")
_NUMBERS: Final = struct.Struct("=QQ")


class NoCompilerError(Exception):
    """There is no C compiler to make the shim with; the message says so."""


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """What an authority is started with, and the numbers that its process shares."""

    environment: dict[str, str]
    memory: mmap.mmap

    @property
    def commits(self) -> int:
        """How often SQLite has committed so far."""
        commits: int = _NUMBERS.unpack_from(self.memory)[0]
        return commits

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Delays each sync by so many *seconds* while the context lasts."""
        place = struct.calcsize("=Q")
        struct.pack_into("=Q", self.memory, place, round(seconds * 1e6))
        try:
            yield
        finally:
            struct.pack_into("=Q", self.memory, place, 0)


@contextmanager
def slow_disk(scratch: Path) -> Iterator[SlowDisk]:
    """Makes the shim in *scratch*. Raises `NoCompilerError`, `BenchmarkError`."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("there is no C compiler (cc)")
    library, numbers = scratch / "slow_disk.so", scratch / "slow_disk"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise BenchmarkError(f"cc can't compile {_SOURCE.name}: {run.stderr[-2000:]}")
    numbers.write_bytes(bytes(_NUMBERS.size))
    with numbers.open("r+b") as file, mmap.mmap(file.fileno(), _NUMBERS.size) as memory:
        yield SlowDisk({"LD_PRELOAD": str(library), "SLOW_DISK": str(numbers)}, memory)
