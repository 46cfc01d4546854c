"""What a run of the benchmarks found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.comparing import Comparison
from benchmarks.figures import Figure, Growth

Result = Comparison | Figure | Growth


@dataclass(frozen=True, slots=True)
class Results:
    """Everything found so far. `told` is called with each thing once it is there."""

    told: Callable[[Result], None]
    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    """Of what only some rows need."""

    def add(self, result: Result) -> None:
        """Keeps and tells it."""
        if isinstance(result, Comparison):
            self.comparisons.append(result)
        elif isinstance(result, Figure):
            self.figures.append(result)
        else:
            self.growths.append(result)
        self.told(result)
