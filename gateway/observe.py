"""What operators see of each request: metrics, and a line in the access log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.envelope import Refusal
from gateway.paths import split_target
from gateway.request import EdgeRequest

OUTCOMES: Final = (
    *(refusal.code for refusal in Refusal),
    # Answered by the upstream, whatever its status.
    "forwarded",
    # A sub-request of a proxy, answered yes.
    "authorized",
    # /healthz and /readyz.
    "probe",
    # The client was gone, or stopped reading, before it had its answer.
    "client_left",
    # The upstream's response broke off after it had begun.
    "upstream_broke",
    # Cut off because the gateway stopped.
    "stopped",
)
"""How a request can end: the values of the label `outcome`."""

# From a verdict on the same machine to an answer that a model thinks about.
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LONG: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The gateway's metrics, with labels bound once; *registry* is theirs alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "gateway_requests", "Requests by how they ended.", ["outcome"], registry=registry
        )
        self.requests = {outcome: requests.labels(outcome) for outcome in OUTCOMES}
        self.request_seconds = Histogram(
            "gateway_request_seconds",
            "From a request's headers to the end of its answer.",
            buckets=_LONG,
            registry=registry,
        )
        self.verify_seconds = Histogram(
            "gateway_verify_seconds", "To a verdict.", buckets=_SHORT, registry=registry
        )
        self.first_byte_seconds = Histogram(
            "gateway_upstream_first_byte_seconds",
            "From sending a request upstream to the headers of the answer.",
            buckets=_LONG,
            registry=registry,
        )
        self._connections = Gauge(
            "gateway_connections", "Open client connections.", ["state"], registry=registry
        )

    def watch_connections(self, total: Callable[[], int], busy: Callable[[], int]) -> None:
        """Have the open connections, and those with a request under way, counted when asked."""
        self._connections.labels("open").set_function(total)
        self._connections.labels("busy").set_function(busy)


class Observer:
    """Counts, times and logs requests that have ended.

    Args:
        metrics: What to count in.
        access_log: Whether to log each request, without its secret and its query string.
    """

    def __init__(self, metrics: Metrics, *, access_log: bool) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger("gateway.access").bind() if access_log else None

    def ended(self, request: EdgeRequest, status: int) -> None:
        """Note that *request* has ended; *status* is what the client was told, 0 for nothing."""
        seconds = time.perf_counter() - request.started
        self._metrics.requests[request.outcome].inc()
        self._metrics.request_seconds.observe(seconds)
        if self._log is None:
            return
        key = request.key
        self._log.info(
            "request",
            request_id=request.id,
            client=request.remote,
            method=request.method,
            path=split_target(request.raw_path)[0],
            status=status,
            outcome=request.outcome,
            workspace_id=key.workspace_id if key else None,
            key_id=key.id if key else None,
            duration_ms=round(seconds * 1000, 2),
        )
