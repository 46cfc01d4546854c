"""The counts of calls: plain numbers while calls run, Prometheus' form when they are read."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

import grpc
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from keyauthority.domain.credits.charging import ChargeState, Counts
from keyauthority.domain.verdicts import Verdict
from keyauthority.escrow.slices import Word

_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LABELS: Final = (*map(str, _BOUNDS), "+Inf")


class Tally:
    """The calls of one method: how many ended with which status, and how long they took."""

    __slots__ = ("_buckets", "_codes", "_ok", "_seconds")

    def __init__(self) -> None:
        # Apart from the other statuses: most calls are OK, and looking up a status costs more than
        # counting.
        self._ok = 0
        self._codes: Counter[grpc.StatusCode] = Counter()
        self._buckets = [0] * len(_LABELS)
        self._seconds = 0.0

    def count_ok(self, seconds: float) -> None:
        """Counts one call that was answered."""
        self._ok += 1
        self._buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def count(self, code: grpc.StatusCode, seconds: float) -> None:
        """Counts one call that ended with *code*."""
        self._codes[code] += 1
        self._buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def add_to(
        self, method: str, calls: CounterMetricFamily, seconds: HistogramMetricFamily
    ) -> None:
        """Adds the numbers of *method* to the families of all methods."""
        calls.add_metric([method, grpc.StatusCode.OK.name], self._ok)
        for code, number in list(self._codes.items()):
            calls.add_metric([method, code.name], number)
        buckets = list(zip(_LABELS, map(float, accumulate(self._buckets)), strict=True))
        seconds.add_metric([method], buckets, self._seconds)


class CallMetrics(Collector):
    """The calls of every method and the verdicts given, in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: defaultdict[str, Tally] = defaultdict(Tally)
        self.verdicts = [0] * (max(verdict.value for verdict in Verdict) + 1)
        """By the verdicts' numbers."""
        self.settled = Counts()
        self.keyring_mismatches = 0
        self.healthy = False
        registry.register(self)

    def of(self, method: str) -> Tally:
        """Returns the tally of a method, such as `KeyService.RevokeKey`."""
        return self._methods[method]

    def collect(self) -> Iterator[Metric]:
        """Yields the numbers in Prometheus' form; called from the thread that serves them."""
        calls = CounterMetricFamily(
            "keyauthority_calls",
            "Calls answered, by method and gRPC status.",
            labels=["method", "code"],
        )
        seconds = HistogramMetricFamily(
            "keyauthority_call_seconds", "How long calls took, in seconds.", labels=["method"]
        )
        verdicts = CounterMetricFamily(
            "keyauthority_verdicts", "Verdicts given, by verdict.", labels=["verdict"]
        )
        for method, tally in list(self._methods.items()):
            tally.add_to(method, calls, seconds)
        for verdict in Verdict:
            verdicts.add_metric([verdict.name], self.verdicts[verdict.value])
        yield from (calls, seconds, verdicts)
        yield from settled(self.settled)
        yield CounterMetricFamily(
            "keyauthority_keyring_mismatches",
            "Calls that found a record which the keyring didn't make: altered, or of another "
            "keyring.",
            self.keyring_mismatches,
        )
        yield GaugeMetricFamily(
            "keyauthority_healthy", "1 while the books can be read, else 0.", float(self.healthy)
        )


_CREDITS: Final = {
    "charged": "What charges came to, in nano-credits.",
    "granted": "What was granted to slices, in nano-credits.",
    "over": "What charges cost beyond what was held for them, in nano-credits.",
    "late": "What was held in slices that had been given back before its charge came, in nano-credits.",
    "short": "What slices lacked of the holds that charges said were in them, in nano-credits.",
    "cut": "What charges without a hold, adjustments and refunds took beyond what was available.",
}


def settled(counts: Counts) -> Iterator[Metric]:
    """Yields what verifiers spent, in Prometheus' form."""
    charges = CounterMetricFamily(
        "keyauthority_charges", "Charges brought, by what became of them.", labels=["state"]
    )
    for state in ChargeState:
        charges.add_metric([state.name], counts.charges[state])
    words = CounterMetricFamily(
        "keyauthority_slice_answers", "Answers to requests for credits, by word.", labels=["word"]
    )
    for word in Word:
        words.add_metric([word.name], counts.words[word.name])
    nano_credits = CounterMetricFamily(
        "keyauthority_nano_credits",
        " ".join(f"{kind}: {text}" for kind, text in _CREDITS.items()),
        labels=["kind"],
    )
    for kind in _CREDITS:
        nano_credits.add_metric([kind], getattr(counts, kind))
    yield from (charges, words, nano_credits)
    yield CounterMetricFamily(
        "keyauthority_charges_estimated",
        "Charges entered of which the usage was estimated.",
        counts.estimated,
    )
    yield CounterMetricFamily(
        "keyauthority_charges_differing",
        "Charges sent again under their reference with another content, which was not entered.",
        counts.differing,
    )
    yield CounterMetricFamily(
        "keyauthority_credit_recalls",
        "How often verifiers were told to give back what they don't hold of a workspace's credits.",
        counts.recalls,
    )
