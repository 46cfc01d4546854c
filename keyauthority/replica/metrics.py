"""What is counted of the revocation protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

FENCES_OPEN: Final = Gauge(
    "keyauthority_fences_open", "Changes that wait until every verifier knows of them."
)
FENCE_SECONDS: Final = Histogram(
    "keyauthority_fence_seconds",
    "How long changes waited until every verifier knew of them, in seconds.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
WAITED_OUT: Final = Counter(
    "keyauthority_leases_waited_out", "Leases whose end a change waited for."
)
SYNCS_HELD: Final = Gauge("keyauthority_syncs_held", "Verifiers that wait here for changes.")
GRANTS: Final = Counter("keyauthority_grants", "Leases granted.")
LATE: Final = Counter(
    "keyauthority_late_verifiers",
    "How often verifiers slowed changes, by the id of their caller (empty: an authority) and why.",
    ["caller", "reason"],
)
SHORT_LEASES: Final = Gauge(
    "keyauthority_short_leases", "Verifiers that are granted shorter leases, or none."
)
LEASE_HELD: Final = Gauge(
    "keyauthority_lease_held", "1 while this process may answer from its cache, else 0."
)


class CacheCounts(Collector):
    """How many verdicts were given from memory, as plain numbers: they are counted for every one."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0

    def collect(self) -> Iterator[Metric]:
        """Puts the numbers into Prometheus' form."""
        yield CounterMetricFamily(
            "keyauthority_cache_hits", "Verdicts given from memory.", self.hits
        )
        yield CounterMetricFamily(
            "keyauthority_cache_misses", "Verdicts read from the database.", self.misses
        )


CACHE: Final = CacheCounts()
REGISTRY.register(CACHE)
