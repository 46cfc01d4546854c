"""What a process tells of the revocation protocol, and of its upkeep of the books."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class ReplicaMetrics(Collector):
    """The metrics of one process, in *registry*.

    `hits` and `misses` are plain numbers, since every verdict adds to one of them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.hits = 0
        self.misses = 0
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        self.fences_open = gauge(
            "keyauthority_fences_open", "Changes that wait until every verifier knows of them."
        )
        self.fence_seconds = Histogram(
            "keyauthority_fence_seconds",
            "How long changes waited until every verifier knew of them, in seconds.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.waited_out = counter(
            "keyauthority_leases_waited_out", "Leases whose end a change waited for."
        )
        self.syncs_held = gauge("keyauthority_syncs_held", "Verifiers that wait here for changes.")
        self.grants = counter("keyauthority_grants", "Leases granted.")
        self.late = counter(
            "keyauthority_late_verifiers",
            "How often verifiers slowed changes, by the id of their caller (empty: an authority) and "
            "why.",
            ["caller", "reason"],
        )
        self.short_leases = gauge(
            "keyauthority_short_leases", "Verifiers that are granted shorter leases, or none."
        )
        self.lease_held = gauge(
            "keyauthority_lease_held", "1 while this process may answer from its cache, else 0."
        )
        self.escrowed = gauge(
            "keyauthority_escrowed_nano_credits",
            "What stands in slices of all workspaces, as of the last minute; every authority says the "
            "same.",
        )
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yields the plain numbers in Prometheus' form."""
        yield CounterMetricFamily(
            "keyauthority_cache_hits", "Verdicts given from memory.", self.hits
        )
        yield CounterMetricFamily(
            "keyauthority_cache_misses", "Verdicts read from the database.", self.misses
        )
