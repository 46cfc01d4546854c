"""What is noted of each request that has ended: numbers, and a line in the access log."""

from __future__ import annotations

import time
from typing import Final

import structlog

from gateway.metrics import Metrics
from gateway.paths import split_target
from gateway.request import EdgeRequest
from gateway.sources import Source

_LOGGED: Final = 1024
"""Characters of a path that are logged: a stranger may send as many as a head has room for."""


class Observer:
    """Counts, times and logs requests that have ended.

    Args:
        metrics: What to count in.
        source: The address that is logged as the client's; the connection's own where it says none.
        access_log: Whether to log each request, without its secret and its query string.
    """

    def __init__(self, metrics: Metrics, source: Source, *, access_log: bool) -> None:
        self._metrics = metrics
        self._source = source
        self._log = structlog.get_logger("gateway.access").bind() if access_log else None

    def ended(self, request: EdgeRequest, status: int) -> None:
        """Note that *request* has ended; *status* is what the client was told, 0 for nothing."""
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
