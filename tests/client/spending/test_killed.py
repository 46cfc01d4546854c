"""Real processes on a real disk, killed at random moments, one adopting what the one before left."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.client.spending.parts import as_held, charge, opened

KILLS = 200 if os.environ.get("TEST_LONG") else 10
ROOT = Path(__file__).parents[3]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_killed_at_random_moments(folder: Path) -> None:
    """Every hold that returned is found, with its end if that returned; nothing else is."""
    said: dict[str, set[str]] = defaultdict(set)
    for _ in range(KILLS):
        for line in output_until_killed(folder):
            word, _, reference = line.partition(" ")
            said[reference].add(word)

    async with opened(folder) as spool:
        await spool.adopt()
        found = {one.reference: one for one in spool.unconfirmed(1)}
        assert list(folder.iterdir()) == [spool_of(folder)]

    assert set(found) <= set(said)
    for name, words in said.items():
        assert found.get(name) in possible(name, words), (name, words)
    assert sum("charge" in words for words in said.values()) > KILLS


def possible(name: str, words: set[str]) -> list[object]:
    """What may be found of a request whose process said *words* before it died."""
    if "confirm" in words or "void" in words:
        return [None]
    if "charge" in words:
        return [charge(name), None] if "+confirm" in words else [charge(name)]
    if "+charge" in words:
        return [charge(name), as_held(name)]
    if "+void" in words or "hold" not in words:
        return [as_held(name), None]
    return [as_held(name)]


def output_until_killed(folder: Path) -> list[str]:
    """What a worker said before it was killed; a line that it did not finish is none."""
    command = [sys.executable, "-m", "tests.client.spending.worker", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(random.random() / 5)
        worker.kill()
        return [line.rstrip("\n") for line in worker.stdout if line.endswith("\n")]


def spool_of(folder: Path) -> Path:
    """The only spool in *folder*."""
    (path,) = folder.glob("*.spool")
    return path
