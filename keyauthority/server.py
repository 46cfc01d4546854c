"""The authority's composition root: from settings to a server that answers, and to its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import grpc.aio
import structlog
import uvloop

from keyauthority import bootstrap, connections, telemetry, workers
from keyauthority.binding import StartError, bind
from keyauthority.books import hints, is_shared, migrate_books, open_books
from keyauthority.clock import SystemClock
from keyauthority.config import Settings
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.changing import Changes
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.verifying import Verifying
from keyauthority.files import check_folder
from keyauthority.health import Health
from keyauthority.housekeeping import keep_house
from keyauthority.keyring import KeyringError
from keyauthority.last_used import write_behind
from keyauthority.location import Location
from keyauthority.replica.credentials import CachedAuthenticating
from keyauthority.replica.replica import Replica
from keyauthority.replica.verdicts import Verdicts
from keyauthority.rpc.admission import Mutations
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.guard import Guard
from keyauthority.rpc.guarded import add_services
from keyauthority.rpc.leased import Leased
from keyauthority.rpc.pages import Pages
from keyauthority.rpc.parts import Parts
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.service import Service
from keyauthority.rpc.services import SERVICES
from keyauthority.rpc.spreading import Spreading
from keyauthority.sharing import serve_with_workers
from keyauthority.storage.errors import NoBooksError, StorageError

__all__ = ["StartError", "migrate", "run", "serving"]

GRACE: Final = 5.0
"""Seconds that calls under way are given at a stop, at least."""

MOST_CALLS: Final = 50_000
"""A far backstop: `rpc.admission` refuses long before, and says why. Held polls count."""

log = structlog.get_logger()


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code: 0, or 1 with a sentence on stderr."""
    telemetry.configure_logging(settings.log_level)
    try:
        if settings.workers > 1:
            return serve_with_workers(settings)
        uvloop.run(_serve_until_stopped(settings))
    except (StartError, StorageError, KeyringError) as error:
        sys.stderr.write(f"keyauthority: {error}\n")
        return 1
    except workers.WorkerError as error:
        return error.code
    return 0


def migrate(database: Location) -> None:
    """Brings the books at *database* to the schema of this version; raises `StartError`."""
    try:
        migrate_books(database)
    except StorageError as error:
        raise StartError(str(error)) from None


async def _serve_until_stopped(settings: Settings) -> None:
    stop, loop, parent = asyncio.Event(), asyncio.get_running_loop(), workers.parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as port:
        if parent is not None:
            loop.add_reader(parent, stop.set)
            workers.started(parent)
        log.info("serving", listen=settings.listen, port=port)
        await stop.wait()
        if parent is not None:
            loop.remove_reader(parent)
        log.info("stopping")
    log.info("stopped")


@asynccontextmanager
async def serving(
    settings: Settings, clock: Clock | None = None, services: Sequence[Service] = SERVICES
) -> AsyncIterator[int]:
    """Serves while the context lasts and yields the port, which is of interest after `:0`.

    Raises `StartError`, `StorageError`, `KeyringError`; `ServiceError` if *services* can't be
    served as they are described.
    """
    async with AsyncExitStack() as stack:
        _make_data_dir(settings)
        store, keyring = await _open(stack, settings, clock)
        if settings.metrics_listen is not None:
            stack.enter_context(_serve_metrics(settings.metrics_listen))
        last_used = LastUsed()
        # Around the server: what its last calls leave is written too.
        await stack.enter_async_context(_background(write_behind(store, last_used)))
        server = _server(settings, store, keyring, clock or SystemClock(), last_used, services)
        yield await stack.enter_async_context(server)


@asynccontextmanager
async def _server(
    settings: Settings,
    store: Store,
    keyring: Keyring,
    clock: Clock,
    last_used: LastUsed,
    services: Sequence[Service],
) -> AsyncIterator[int]:
    mutations = Mutations()
    replica = Replica(store, alone=not is_shared(settings.database))
    credentials = CachedAuthenticating(Authenticating(store, keyring), replica.cache)
    entrance = Entrance(credentials, Refusals(store), mutations)
    verifying = Verifying(store, keyring, last_used)
    verdicts = Verdicts(verifying, replica.cache, alone=replica.alone)
    guard = Guard(
        entrance, mutations, lambda: replica.fence.longest_wait, Leased(replica.can_answer)
    )
    most = connections.affordable(settings.max_connections)
    if most < settings.max_connections:
        log.warning("few_connections", wanted=settings.max_connections, files_for=most)
    options = connections.options(connections=most, share_port=settings.share_port)
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
    names = tuple(one.name for one in services)
    health = Health(store, [one.name for one in services if not one.of_grpc], replica.can_answer)
    parts = Parts(
        store=store,
        keyring=keyring,
        clock=clock,
        changes=Changes(store, Spreading(replica.fence)),
        last_used=last_used,
        verdicts=verdicts,
        syncing=replica.syncing,
        pages=Pages(keyring),
        health=health.servicer,
        services=names,
    )
    add_services(services, parts, server, guard)
    port = bind(server, settings)
    async with AsyncExitStack() as stack:
        # Ended from the last to the first: new changes are refused, those under way wait at the
        # fence while verifiers still get through, then no lease is granted any more, then it stops.
        stack.push_async_callback(lambda: server.stop(max(GRACE, replica.grace)))
        await stack.enter_async_context(hints(settings.database, replica.watch.hint))
        await stack.enter_async_context(replica.running())
        stack.push_async_callback(lambda: mutations.close(max(GRACE, replica.grace)))
        stack.callback(replica.leave)
        stack.callback(health.servicer.leave)
        await stack.enter_async_context(_background(health.watch()))
        await stack.enter_async_context(_background(keep_house(store, settings.audit_retention)))
        await health.look()
        await server.start()
        yield port


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the data directory {settings.data_dir} can't be made: {error.strerror}"
        ) from None
    try:
        check_folder(settings.data_dir)
    except OSError as error:
        raise StartError(f"the data directory can't be used: {error.strerror}") from None


async def _open(
    stack: AsyncExitStack, settings: Settings, clock: Clock | None
) -> tuple[Store, Keyring]:
    traces = bootstrap.traces(settings.keyring, settings.root_token)
    books = open_books(
        settings.database,
        clock,
        allow_async_standby=settings.allow_async_standby,
        may_make=not traces,
    )
    try:
        store = await stack.enter_async_context(books)
        return store, await _open_keyring(store, settings)
    except NoBooksError:
        raise _lost(settings, traces) from None


def _lost(settings: Settings, traces: Sequence[Path]) -> StartError:
    belong = "belongs" if len(traces) == 1 else "belong"
    return StartError(
        f"there are no books in {settings.database}, but {' and '.join(map(str, traces))} {belong} "
        "to some: restore these, or name the right --database; for new books move what is left away"
    )


async def _open_keyring(store: Store, settings: Settings) -> Keyring:
    try:
        return await bootstrap.open_keyring(store, settings.keyring, settings.root_token)
    except KeyAuthorityError as error:
        raise StartError(f"the database {settings.database} fails: {error.message}") from None
    except OSError as error:
        raise StartError(
            f"the root token can't be written to {settings.root_token}: {error.strerror}"
        ) from None


@contextmanager
def _serve_metrics(listen: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(telemetry.serve_metrics(listen))
        except OSError as error:
            raise StartError(f"can't serve metrics on {listen}: {error.strerror}") from None
        yield


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
