"""The list of seeded bugs: of which rule each is, and where it is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.coherence.model import Model
from tests.coherence.scenarios import Scenario


class Seeded(NamedTuple):
    """A rule, a model without it, and the world in which that is found out."""

    rule: str
    model: type[Model]
    scenario: Scenario


SEEDED: Final[list[Seeded]] = []


SPARE: Final[list[Seeded]] = []
"""Rules without which no promise is broken, since another rule holds the same."""


class Bug(Model):
    """An alarm is not enough: a promise has to be broken."""

    alarms_count = False


def breaks(rule: str, *where: Scenario) -> Callable[[type[Model]], type[Model]]:
    """Registers a model as breaking *rule*."""

    def register(model: type[Model]) -> type[Model]:
        SEEDED.extend(Seeded(rule, model, scenario) for scenario in where)
        return model

    return register


def spares(rule: str, where: Scenario) -> Callable[[type[Model]], type[Model]]:
    """Registers a model as breaking *rule*, which something else makes up for."""

    def register(model: type[Model]) -> type[Model]:
        SPARE.append(Seeded(rule, model, where))
        return model

    return register
