"""The metrics of a running process, as Prometheus reads them."""

from __future__ import annotations

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples(port: int) -> list[Sample]:
    """Returns all that the process says whose metrics are at *port*."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
        return [sample for family in families for sample in family.samples]


def value_of(name: str, port: int) -> float:
    """Returns the sum of the samples called *name*."""
    return sum(sample.value for sample in samples(port) if sample.name == name)
