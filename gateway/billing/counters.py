"""What billing counts for the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.billing.cost import Cost


def _by_kind() -> dict[str, int]:
    return {"usage": 0, "estimated": 0}


@dataclass(slots=True, eq=False)
class BillCounters:
    """Requests that ended, by how their cost was known. Under `--billing observe`: what it would be."""

    charges: dict[str, int] = field(default_factory=_by_kind)
    nano_credits: dict[str, int] = field(default_factory=_by_kind)
    # Requests that cost nothing, since they were not sent or the upstream refused them.
    voided: int = 0
    # Requests that nobody could price, let through under `--billing observe`.
    unpriced: int = 0

    def count(self, cost: Cost) -> None:
        """Counts the cost of one request."""
        kind = "estimated" if cost.estimated else "usage"
        self.charges[kind] += 1
        self.nano_credits[kind] += cost.nano_credits
