"""Seeded bugs: for each rule of the protocol a model that breaks exactly this one.

`tests/coherence/test_model.py` searches each until a promise is broken. Some rules are held twice, by
two mechanisms each of which suffices; such a bug breaks both, and says so.
"""

from tests.coherence.seeded import (  # noqa: F401  # each adds its bugs to the lists
    acknowledging,
    allowances,
    answers,
    batches,
    fences,
    processes,
    renewing,
    restarts,
    sessions,
    spared,
)
from tests.coherence.seeded.seeding import SEEDED, SPARE, Seeded

__all__ = ["SEEDED", "SPARE", "Seeded"]
