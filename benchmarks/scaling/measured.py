"""What `make bench` measured with more and more verifiers, to hold the simulation against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parents[1] / "results.md"


def revocations(where: str) -> Mapping[int, float]:
    """Returns milliseconds at p50 by the number of connected verifiers, in the books *where* says."""
    heading = f"| connected verifiers, {where}"
    lines = iter(RESULTS.read_text().splitlines())
    if not any(line.startswith(heading) for line in lines):
        raise LookupError(f"benchmarks/results.md has no table of {where}")
    next(lines)
    measured = {}
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        measured[int(cells[0].replace(",", ""))] = float(cells[1].replace(",", ""))
    return measured


def has_row(name: str) -> bool:
    """Returns whether the results have a row of this name."""
    return f"| {name} |" in RESULTS.read_text()
