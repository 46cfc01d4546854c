"""The authority's composition root: from settings to a server that answers, and to its end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc.aio
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import SystemClock, boottime
from keyauthority.base.process.lifecycle import StartError, run_until_stopped
from keyauthority.base.process.settings import SettingsError
from keyauthority.base.process.tasks import background
from keyauthority.base.process.telemetry import configure_logging, process_registry, serve_metrics
from keyauthority.base.process.workers import WorkerError, serve_with_workers
from keyauthority.base.relational.location import Location
from keyauthority.base.relational.outages import StorageError
from keyauthority.config import Settings
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.books import Books
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.secrets import redact
from keyauthority.domain.verifying import Verifying
from keyauthority.edge.scopes import ScopeRules
from keyauthority.keyring import KeyringError
from keyauthority.replica.credentials import CachedAuthenticating
from keyauthority.replica.housekeeping import (
    PRUNED_EVERY,
    RELEASED_EVERY,
    TIDIED_EVERY,
    WRITTEN_EVERY,
    keep_house,
    keep_writing_uses,
)
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.replica import Replica
from keyauthority.replica.sweeping import SWEPT_EVERY
from keyauthority.replica.verdicts import Verdicts
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.errors import Alarms
from keyauthority.rpc.guard import Guard
from keyauthority.rpc.health import CHECKED_EVERY, Health
from keyauthority.rpc.leased import Leased
from keyauthority.rpc.listening import affordable, bind, channel_options
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.mutations import MARGIN, Mutations
from keyauthority.rpc.pages import Pages
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.service import Parts, Service
from keyauthority.rpc.services import SERVICES, add_services
from keyauthority.storage.bootstrap import books_and_keyring
from keyauthority.storage.opening import hints, is_shared, migrate_books

GRACE: Final = 5.0
"""Seconds that calls under way have at a stop, at least."""

MOST_CALLS: Final = 50_000
"""A far backstop: `rpc.admission` refuses long before, and says why. Held polls count as calls."""

OpenBooks = Callable[[Settings, Clock | None], AbstractAsyncContextManager[tuple[Store, Keyring]]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from one round of the authority's own work to the next.

    `margin` is how many seconds before its caller's deadline a change that still spreads is answered.
    """

    health: float = CHECKED_EVERY
    tidying: float = TIDIED_EVERY
    pruning: float = PRUNED_EVERY
    sweeping: float = SWEPT_EVERY
    releasing: float = RELEASED_EVERY
    writing_uses: float = WRITTEN_EVERY
    margin: float = MARGIN


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code: 0, or 1 with a sentence on stderr."""
    try:
        configure_logging(settings.log_level, redact)
        if settings.workers > 1:
            # Each worker has a server, a cache and a session of its own.
            return serve_with_workers(
                "authority",
                "keyauthority",
                count=settings.workers,
                listen=settings.listen,
                metrics_listen=settings.metrics_listen,
            )
        uvloop.run(run_until_stopped("authority", serving(settings), listen=settings.listen))
    except (SettingsError, StartError, StorageError, KeyringError) as error:
        sys.stderr.write(f"keyauthority: {error}\n")
        return 1
    except WorkerError as error:
        return error.code
    return 0


def migrate(database: Location) -> None:
    """Brings the books at *database* to the schema of this version; raises `StartError`."""
    try:
        migrate_books(database)
    except StorageError as error:
        raise StartError(str(error)) from None


@asynccontextmanager
async def serving(
    settings: Settings,
    clock: Clock | None = None,
    *,
    services: Sequence[Service] = SERVICES,
    now: Callable[[], float] = boottime,
    pace: Pace = Pace(),
    registry: CollectorRegistry | None = None,
    open_books: OpenBooks = books_and_keyring,
) -> AsyncIterator[int]:
    """Serves while the context lasts and yields the port, which is of interest after `:0`.

    *clock* tells the time of records, *now* that of leases; *registry* has all metrics.

    Raises `StartError`, `StorageError`, `KeyringError`; `ServiceError` if *services* can't be
    served as they are described.
    """
    async with AsyncExitStack() as stack:
        store, keyring = await stack.enter_async_context(open_books(settings, clock))
        registry = registry or process_registry()
        if settings.metrics_listen is not None:
            stack.enter_context(serve_metrics(settings.metrics_listen, registry))
        calls, counts = CallMetrics(registry), ReplicaMetrics(registry)
        alone = not is_shared(settings.database)
        replica = Replica(store, alone=alone, now=now, metrics=counts, sweep_every=pace.sweeping)
        books, mutations, last_used = Books(store, replica.fence), Mutations(), LastUsed()
        ours = [service.name for service in services if not service.foreign]
        health = Health(store, ours, replica.can_answer, calls, pace.health)
        verifying = Verifying(store, keyring, last_used)
        parts = Parts(
            books=books,
            store=store,
            keyring=keyring,
            clock=clock or SystemClock(),
            last_used=last_used,
            verdicts=Verdicts(verifying, replica.cache, alone=alone, now=now, metrics=counts),
            syncing=replica.syncing,
            pages=Pages(keyring),
            metrics=calls,
            scope_rules=_scope_rules(settings),
            charge_rates=ChargeRates(settings.max_charges_per_second, now),
            now=now,
            health=health,
            services=tuple(service.name for service in services if service.is_described),
        )
        server = _new_server(settings)
        add_services(services, parts, server, _guard(parts, replica, mutations, pace.margin))
        tls = settings.tls_cert, settings.tls_key, settings.tls_client_ca
        port = bind(server, settings.listen, *tls)
        # Ended from the last to the first: new changes are refused, those under way wait at the
        # fence while verifiers still get through, then no lease is granted any more, then the server
        # stops, and the uses of its last calls are written.
        writing = keep_writing_uses(store, last_used, pace.writing_uses)
        await stack.enter_async_context(background(writing))
        stack.push_async_callback(lambda: server.stop(max(GRACE, replica.grace)))
        await stack.enter_async_context(hints(settings.database, replica.watch.hint))
        await stack.enter_async_context(replica.running())
        stack.push_async_callback(lambda: mutations.close(max(GRACE, replica.grace)))
        stack.callback(replica.leave)
        stack.callback(health.leave)
        await stack.enter_async_context(background(health.run()))
        rounds = pace.tidying, pace.pruning, pace.releasing
        house = keep_house(store, books, settings.audit_retention, counts, *rounds)
        await stack.enter_async_context(background(house))
        await health.look()
        await server.start()
        yield port


def _scope_rules(settings: Settings) -> ScopeRules | None:
    return None if settings.scope_rules is None else ScopeRules(settings.scope_rules)


def _guard(parts: Parts, replica: Replica, mutations: Mutations, margin: float) -> Guard:
    authenticating = Authenticating(parts.books, parts.store, parts.keyring)
    credentials = CachedAuthenticating(authenticating, replica.cache, parts.now)
    return Guard(
        Entrance(credentials, Refusals(parts.books, parts.now), mutations),
        mutations,
        lambda: replica.fence.longest_wait,
        Leased(replica.can_answer),
        parts.metrics,
        Alarms(parts.metrics, parts.now),
        margin,
    )


def _new_server(settings: Settings) -> grpc.aio.Server:
    most = affordable(settings.max_connections)
    if most < settings.max_connections:
        log.warning("few_connections", configured=settings.max_connections, files_for=most)
    options = channel_options(connections=most, share_port=settings.share_port)
    return grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
