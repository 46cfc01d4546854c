"""What servicers are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keyauthority.domain.answering import Syncing, Verdicts
from keyauthority.domain.books import Books
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.rpc.health import HealthServicer
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.pages import Pages


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process has one of, for the constructors of its servicers."""

    books: Books
    store: Store
    keyring: Keyring
    clock: Clock
    last_used: LastUsed
    verdicts: Verdicts
    syncing: Syncing
    pages: Pages
    metrics: CallMetrics
    # The clock of leases.
    now: Callable[[], float]
    health: HealthServicer
    # The names of all services, which reflection tells.
    services: tuple[str, ...]
