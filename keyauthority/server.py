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
from keyauthority.base.process.tasks import background
from keyauthority.base.process.telemetry import configure_logging, process_registry, serve_metrics
from keyauthority.base.process.workers import WorkerError, serve_with_workers
from keyauthority.base.relational.location import Location
from keyauthority.base.relational.outages import StorageError
from keyauthority.config import Settings
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.books import Books
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.secrets import redact
from keyauthority.domain.verifying import Verifying
from keyauthority.keyring import KeyringError
from keyauthority.replica.credentials import CachedAuthenticating
from keyauthority.replica.housekeeping import (
    PRUNED_EVERY,
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
from keyauthority.rpc.listening import TlsFiles, affordable, bind, channel_options
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.mutations import MARGIN, Mutations
from keyauthority.rpc.pages import Pages
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.service import Parts, Service
from keyauthority.rpc.services import SERVICES, add_services
from keyauthority.storage.bootstrap import books_and_keyring
from keyauthority.storage.opening import hints, is_shared, migrate_books

__all__ = ["StartError", "migrate", "run", "serving"]

GRACE: Final = 5.0
"""Seconds that calls under way are given at a stop, at least."""

MOST_CALLS: Final = 50_000
"""A far backstop: `rpc.admission` refuses long before, and says why. Held polls count."""

OpenBooks = Callable[[Settings, Clock | None], AbstractAsyncContextManager[tuple[Store, Keyring]]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the authority does what nobody asks it for: seconds from one round to the next.

    `margin` is how long before its caller's deadline a change that still spreads is answered.
    """

    health: float = CHECKED_EVERY
    tidying: float = TIDIED_EVERY
    pruning: float = PRUNED_EVERY
    sweeping: float = SWEPT_EVERY
    writing_uses: float = WRITTEN_EVERY
    margin: float = MARGIN


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code: 0, or 1 with a sentence on stderr."""
    configure_logging(settings.log_level, redact)
    try:
        if settings.workers > 1:
            return _serve_with_workers(settings)
        uvloop.run(run_until_stopped("authority", serving(settings), listen=settings.listen))
    except (StartError, StorageError, KeyringError) as error:
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


def _serve_with_workers(settings: Settings) -> int:
    # Each has a server, a cache and a session of its own.
    return serve_with_workers(
        "authority",
        "keyauthority",
        count=settings.workers,
        listen=settings.listen,
        metrics_listen=settings.metrics_listen,
    )


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

    *clock* tells the time of records, *now* that of leases; *registry* is where all of it is counted.

    Raises `StartError`, `StorageError`, `KeyringError`; `ServiceError` if *services* can't be
    served as they are described.
    """
    async with AsyncExitStack() as stack:
        store, keyring = await stack.enter_async_context(open_books(settings, clock))
        registry = registry or process_registry()
        if settings.metrics_listen is not None:
            stack.enter_context(serve_metrics(settings.metrics_listen, registry))
        process = _Process(
            settings=settings,
            services=services,
            store=store,
            keyring=keyring,
            clock=clock or SystemClock(),
            now=now,
            pace=pace,
            registry=registry,
            last_used=LastUsed(),
        )
        # Around the server: what its last calls leave is written too.
        writing = keep_writing_uses(store, process.last_used, pace.writing_uses)
        await stack.enter_async_context(background(writing))
        yield await stack.enter_async_context(_served(process))


@dataclass(frozen=True, slots=True)
class _Process:
    # What there is one of, whatever is served with it.
    settings: Settings
    services: Sequence[Service]
    store: Store
    keyring: Keyring
    clock: Clock
    now: Callable[[], float]
    pace: Pace
    registry: CollectorRegistry
    last_used: LastUsed


@asynccontextmanager
async def _served(process: _Process) -> AsyncIterator[int]:
    settings, store, pace = process.settings, process.store, process.pace
    calls, counts = CallMetrics(process.registry), ReplicaMetrics(process.registry)
    replica = Replica(
        store,
        alone=not is_shared(settings.database),
        now=process.now,
        metrics=counts,
        sweep_every=pace.sweeping,
    )
    books, mutations = Books(store, replica.fence), Mutations()
    ours = [one.name for one in process.services if not one.of_grpc]
    health = Health(store, ours, replica.can_answer, calls, pace.health)
    server = _new_server(settings)
    parts = _parts(process, books, replica, counts, calls, health)
    add_services(process.services, parts, server, _guard(process, books, replica, mutations, calls))
    port = bind(server, settings.listen, _tls(settings))
    async with AsyncExitStack() as stack:
        # Ended from the last to the first: new changes are refused, those under way wait at the
        # fence while verifiers still get through, then no lease is granted any more, then it stops.
        stack.push_async_callback(lambda: server.stop(max(GRACE, replica.grace)))
        await stack.enter_async_context(hints(settings.database, replica.watch.hint))
        await stack.enter_async_context(replica.running())
        stack.push_async_callback(lambda: mutations.close(max(GRACE, replica.grace)))
        stack.callback(replica.leave)
        stack.callback(health.servicer.leave)
        await stack.enter_async_context(background(health.watch()))
        housekeeping = keep_house(
            store, books, settings.audit_retention, pace.tidying, pace.pruning
        )
        await stack.enter_async_context(background(housekeeping))
        await health.look()
        await server.start()
        yield port


def _guard(
    process: _Process, books: Books, replica: Replica, mutations: Mutations, calls: CallMetrics
) -> Guard:
    authenticating = Authenticating(books, process.store, process.keyring)
    credentials = CachedAuthenticating(authenticating, replica.cache, process.now)
    return Guard(
        Entrance(credentials, Refusals(books, process.now), mutations),
        mutations,
        lambda: replica.fence.longest_wait,
        Leased(replica.can_answer),
        calls,
        Alarms(calls, process.now),
        process.pace.margin,
    )


def _parts(
    process: _Process,
    books: Books,
    replica: Replica,
    counts: ReplicaMetrics,
    calls: CallMetrics,
    health: Health,
) -> Parts:
    verifying = Verifying(process.store, process.keyring, process.last_used)
    return Parts(
        store=process.store,
        keyring=process.keyring,
        clock=process.clock,
        books=books,
        last_used=process.last_used,
        verdicts=Verdicts(
            verifying, replica.cache, alone=replica.alone, now=process.now, metrics=counts
        ),
        syncing=replica.syncing,
        pages=Pages(process.keyring),
        metrics=calls,
        now=process.now,
        health=health.servicer,
        services=tuple(one.name for one in process.services),
    )


def _new_server(settings: Settings) -> grpc.aio.Server:
    most = affordable(settings.max_connections)
    if most < settings.max_connections:
        log.warning("few_connections", wanted=settings.max_connections, files_for=most)
    options = channel_options(connections=most, share_port=settings.share_port)
    return grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)


def _tls(settings: Settings) -> TlsFiles | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
