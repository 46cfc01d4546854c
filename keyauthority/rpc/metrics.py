"""What is counted of every call."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

HANDLED: Final = Counter(
    "keyauthority_calls", "Calls answered, by method and gRPC status.", ("method", "code")
)
SECONDS: Final = Histogram(
    "keyauthority_call_seconds",
    "How long calls took, in seconds.",
    ("method",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
VERDICTS: Final = Counter("keyauthority_verdicts", "Verdicts given, by verdict.", ("verdict",))
HEALTHY: Final = Gauge("keyauthority_healthy", "1 while the books can be read, else 0.")

# The label look-ups of the client library cost more than the counting.
handled = cache(lambda method, code: HANDLED.labels(method, code).inc)
observe = cache(lambda method: SECONDS.labels(method).observe)
count_verdict = cache(lambda verdict: VERDICTS.labels(verdict).inc)
