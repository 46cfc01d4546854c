"""What billing tells of itself. No workspace, key or model is in it: there may be any number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from keyauthority.client import Spender
from keyauthority.pricing import amounts


def _by_kind() -> dict[str, int]:
    return {"usage": 0, "estimated": 0}


@dataclass(slots=True, eq=False)
class BillCounters:
    """Requests that ended, by how their cost was known."""

    charges: dict[str, int] = field(default_factory=_by_kind)
    nano_credits: dict[str, int] = field(default_factory=_by_kind)
    # Requests that cost nothing, since they were not sent or the upstream refused them.
    voided: int = 0
    # Requests that nobody could price, let through where nothing is refused.
    unpriced: int = 0

    def charge(self, nano_credits: int, *, estimated: bool) -> None:
        """Counts the cost of one request."""
        kind = "estimated" if estimated else "usage"
        self.charges[kind] += 1
        self.nano_credits[kind] += nano_credits

    def collect(self, *, observed: bool) -> Iterator[Metric]:
        """Yields the numbers in Prometheus' form; *observed*: of what is not charged."""
        prefix, verb = ("gateway_observed", "would be") if observed else ("gateway", "were")
        charges = CounterMetricFamily(
            f"{prefix}_charges",
            f"Requests that {verb} charged: by the usage that was told, or by an estimate.",
            labels=["kind"],
        )
        credits_ = CounterMetricFamily(
            f"{prefix}_charged_credits", f"Credits that {verb} charged for these.", labels=["kind"]
        )
        for kind, number in self.charges.items():
            charges.add_metric([kind], number)
            credits_.add_metric([kind], self.nano_credits[kind] / amounts.NANO)
        yield charges
        yield credits_
        yield CounterMetricFamily(
            f"{prefix}_voided",
            "Requests with a price that cost nothing: not sent, or refused by the upstream.",
            self.voided,
        )
        if observed:
            yield CounterMetricFamily(
                "gateway_observed_unpriced",
                "Requests that `--billing enforce` would refuse, since nobody could price them.",
                self.unpriced,
            )


def spending(spender: Spender) -> Iterator[Metric]:
    """Yields what holds the credits of requests, in Prometheus' form."""
    counters, spool = spender.counters, spender.spooled
    yield GaugeMetricFamily("gateway_holds", "Requests for which credits are held.", counters.holds)
    yield CounterMetricFamily(
        "gateway_holds_dropped", "Holds without an end, charged as held.", counters.dropped
    )
    yield CounterMetricFamily(
        "gateway_charges_refused",
        "Charges that the authority could not enter.",
        counters.refused_charges,
    )
    calls = SummaryMetricFamily("gateway_settle_seconds", "Calls that settle, and their time.")
    calls.add_metric([], counters.calls, counters.call_seconds)
    yield calls
    yield CounterMetricFamily(
        "gateway_settle_failures", "Calls that settle, and failed.", counters.failed_calls
    )
    yield GaugeMetricFamily("gateway_slices", "Workspaces with credits at hand.", spender.slices)
    yield GaugeMetricFamily(
        "gateway_spool_charges", "Charges that the authority has not confirmed.", spool.charges
    )
    yield GaugeMetricFamily(
        "gateway_spool_oldest_seconds", "Age of the oldest of these.", spool.oldest_age
    )
    yield GaugeMetricFamily("gateway_spool_bytes", "What the spool has on the disk.", spool.bytes)
