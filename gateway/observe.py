"""What the gateway tells of itself: metrics, the access log, and errors of its neighbours."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

import structlog
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.bill_metrics import BillCounters, spending
from gateway.request import EdgeRequest, Outcome
from gateway.sources import Source
from keyauthority.client import Spender, Verifier
from keyauthority.edge.envelope import Refusal
from keyauthority.edge.paths import split_target

OUTCOMES: Final = (
    *(refusal.code for refusal in Refusal),
    *(value for name, value in vars(Outcome).items() if name.isupper()),
)
"""The values of the label `outcome`."""

# From a verdict on the same machine to an answer that a model thinks about.
_SHORT: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_LONG: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LOGGED: Final = 1024
"""Characters of a path that are logged: a stranger may send as many as a head has room for."""

_LOG_INTERVAL: Final = 10.0


class Complaint:
    """One kind of error, which is logged at most every ten seconds."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._log = structlog.get_logger("gateway")
        self._logged_at = -_LOG_INTERVAL

    def log(self, reason: str) -> None:
        """Logs the error and its *reason*, unless one was logged lately."""
        now = time.monotonic()
        if now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            self._log.error(self._event, reason=reason)


class Timings:
    """A histogram of seconds. Only the event loop observes, so it needs no lock."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def family(self) -> Metric:
        """Returns the histogram in Prometheus' form."""
        labels = [*map(str, self._bounds), "+Inf"]
        buckets = list(zip(labels, map(float, accumulate(self._counts)), strict=True))
        return HistogramMetricFamily(self._name, self._text, buckets, self._sum)


class Metrics(Collector):
    """All numbers of one gateway, to be registered with a Prometheus registry."""

    def __init__(self) -> None:
        self.requests = dict.fromkeys(OUTCOMES, 0)
        self.request_seconds = Timings(
            "gateway_request_seconds", "From a request's headers to the end of its answer.", _LONG
        )
        self.verify_seconds = Timings(
            "gateway_verify_seconds", "To a verdict that was not in memory.", _SHORT
        )
        self.first_byte_seconds = Timings(
            "gateway_upstream_first_byte_seconds",
            "From sending a request upstream to the headers of the answer.",
            _LONG,
        )
        # Connections to the upstream that were closed for bytes that no request asked for.
        self.unsolicited = 0
        self._complaint = Complaint("upstream_sent_unsolicited_bytes")
        # Returns the number of client connections by state.
        self.connections: Callable[[], dict[str, int]] = dict
        # Has counters of its own. None if it keeps no verdicts in memory.
        self.verifier: Verifier | None = None
        # What requests cost, and what holds their credits: None without billing, or if nothing does.
        self.bills: BillCounters | None = None
        self.spender: Spender | None = None

    def count_unsolicited(self) -> None:
        """Counts, and logs, a connection that was closed for unsolicited bytes."""
        self.unsolicited += 1
        self._complaint.log("its connection was closed")

    def collect(self) -> Iterator[Metric]:
        """Yields the numbers in Prometheus' form, in the thread that serves them."""
        requests = CounterMetricFamily(
            "gateway_requests", "Requests by how they ended.", labels=["outcome"]
        )
        yield _by_label(requests, self.requests)
        connections = GaugeMetricFamily(
            "gateway_connections", "Client connections: all, and busy ones.", labels=["state"]
        )
        yield _by_label(connections, self.connections())
        yield self.request_seconds.family()
        yield self.verify_seconds.family()
        yield self.first_byte_seconds.family()
        yield CounterMetricFamily(
            "gateway_upstream_unsolicited",
            "Connections to the upstream closed for bytes that no request asked for.",
            self.unsolicited,
        )
        if self.verifier is not None:
            yield from _cache(self.verifier)
        if self.bills is not None:
            yield from self.bills.collect(observed=self.spender is None)
        if self.spender is not None:
            yield from spending(self.spender)


def _by_label(
    family: CounterMetricFamily | GaugeMetricFamily, numbers: Mapping[str, int]
) -> Metric:
    for label, number in numbers.items():
        family.add_metric([label], number)
    return family


def _cache(verifier: Verifier) -> Iterator[Metric]:
    counters = verifier.counters
    verdicts = CounterMetricFamily(
        "gateway_verdicts",
        "Requests for a verdict: it was in memory (hit) or not (miss).",
        labels=["result"],
    )
    yield _by_label(verdicts, {"hit": counters.hits, "miss": counters.misses})
    yield CounterMetricFamily(
        "gateway_verdicts_unavailable", "Misses that got no verdict.", counters.unavailable
    )
    yield CounterMetricFamily(
        "gateway_verdicts_shed",
        "Misses refused at once, because too many waited for a verdict.",
        counters.shed,
    )
    yield GaugeMetricFamily(
        "gateway_lease_held", "Whether verdicts may come from memory: 1 or 0.", verifier.lease_held
    )
    yield GaugeMetricFamily("gateway_cached_verdicts", "Verdicts in memory.", verifier.entries)
    yield GaugeMetricFamily(
        "gateway_fence_lag_seconds",
        "Age of the verifier's latest report from the authority.",
        verifier.lag,
    )


class Observer:
    """Counts, times and, with *access_log*, logs requests that have ended.

    Logged are no secret and no query string, and the address that *source* finds, or the
    connection's own.
    """

    def __init__(self, metrics: Metrics, source: Source, *, access_log: bool) -> None:
        self._metrics = metrics
        self._source = source
        self._log = structlog.get_logger("gateway.access").bind() if access_log else None

    def ended(self, request: EdgeRequest, status: int) -> None:
        """Notes the end of *request*; its client got *status*, 0 for no answer."""
        seconds = time.perf_counter() - request.started
        self._metrics.requests[request.outcome] += 1
        self._metrics.request_seconds.observe(seconds)
        if self._log is None:
            return
        key = request.key
        self._log.info(
            "request",
            request_id=request.id,
            client=self._source(request) or request.remote,
            method=request.method,
            path=split_target(request.raw_path)[0][:_LOGGED],
            status=status,
            outcome=request.outcome,
            workspace_id=key.workspace_id if key else None,
            key_id=key.id if key else None,
            duration_ms=round(seconds * 1000, 2),
        )
