"""The authority's composition root: from settings to a server that answers, and to its end."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import grpc
import grpc.aio
import structlog
import uvloop
from google.rpc import error_details_pb2  # noqa: F401  # lets reflection describe what errors carry
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from keyauthority import bootstrap, telemetry
from keyauthority.books import migrate_books, open_books
from keyauthority.clock import SystemClock
from keyauthority.config import Settings
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.changing import Changes
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.finding import Finding
from keyauthority.domain.importing import Importing
from keyauthority.domain.issuing import Issuing
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.listing_sessions import ListingSessions
from keyauthority.domain.managing_callers import ManagingCallers
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.domain.revoking import Revoking
from keyauthority.domain.revoking_presented import RevokingPresented
from keyauthority.domain.updating import Updating
from keyauthority.domain.verifying import Verifying
from keyauthority.health import Health
from keyauthority.housekeeping import keep_house
from keyauthority.keyring import KeyringError
from keyauthority.last_used import write_behind
from keyauthority.location import Location, PostgresUrl
from keyauthority.replica.credentials import CachedAuthenticating
from keyauthority.replica.replica import Replica
from keyauthority.replica.verdicts import Verdicts
from keyauthority.rpc.admission import Mutations
from keyauthority.rpc.audit import AuditServicer
from keyauthority.rpc.callers import CallerServicer
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.guard import Guard
from keyauthority.rpc.guarded import GuardedServer
from keyauthority.rpc.keys import KeyServicer, KeyUseCases
from keyauthority.rpc.operations import OperationsServicer
from keyauthority.rpc.pages import Pages
from keyauthority.rpc.policy import SERVICES
from keyauthority.rpc.reflection import add_reflection
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.spreading import Spreading
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.rpc.workspaces import WorkspaceServicer
from keyauthority.storage.errors import StorageError
from keyauthority.storage.postgres import listening
from keyauthority.v1 import error_reason_pb2  # noqa: F401  # likewise
from keyauthority.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from keyauthority.v1.caller_service_pb2_grpc import add_CallerServiceServicer_to_server
from keyauthority.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from keyauthority.v1.operations_service_pb2_grpc import add_OperationsServiceServicer_to_server
from keyauthority.v1.verification_service_pb2_grpc import add_VerificationServiceServicer_to_server
from keyauthority.v1.workspace_service_pb2_grpc import add_WorkspaceServiceServicer_to_server

GRACE: Final = 5.0
"""Seconds that calls under way are given at a stop, at least."""

OPTIONS: Final = (
    # Otherwise a second process on the same port would silently take half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 9 << 20),  # 1,000 secrets of 8,192 bytes
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 1_000),
    # Verifiers notice a dead connection by pings; without these their pings would be an offence.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)

MOST_CALLS: Final = 20_000
"""A far backstop: `rpc.admission` refuses long before, and says why. Held polls count."""

log = structlog.get_logger()


class StartError(Exception):
    """The authority can't start; the message is one sentence that says what to do about it."""


def run(settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit code: 0, or 1 with a sentence on stderr."""
    telemetry.configure_logging(settings.log_level)
    try:
        uvloop.run(_serve_until_stopped(settings))
    except (StartError, StorageError, KeyringError) as error:
        sys.stderr.write(f"keyauthority: {error}\n")
        return 1
    return 0


def migrate(database: Location) -> None:
    """Brings the books at *database* to the schema of this version; raises `StartError`."""
    try:
        migrate_books(database)
    except StorageError as error:
        raise StartError(str(error)) from None


async def _serve_until_stopped(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(settings) as port:
        log.info("serving", listen=settings.listen, port=port)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


@asynccontextmanager
async def serving(settings: Settings, clock: Clock | None = None) -> AsyncIterator[int]:
    """Serves while the context lasts and yields the port, which is of interest after `:0`.

    Raises `StartError`, `StorageError`, `KeyringError`.
    """
    async with AsyncExitStack() as stack:
        _make_data_dir(settings)
        store = await stack.enter_async_context(
            open_books(settings.database, clock, allow_async_standby=settings.allow_async_standby)
        )
        keyring = await _open_keyring(store, settings)
        if settings.metrics_listen is not None:
            stack.enter_context(_serve_metrics(settings.metrics_listen))
        last_used = LastUsed()
        # Around the server: what its last calls leave is written too.
        await stack.enter_async_context(_background(write_behind(store, last_used)))
        server = _server(settings, store, keyring, clock or SystemClock(), last_used)
        yield await stack.enter_async_context(server)


@asynccontextmanager
async def _server(
    settings: Settings, store: Store, keyring: Keyring, clock: Clock, last_used: LastUsed
) -> AsyncIterator[int]:
    mutations = Mutations()
    replica = Replica(store, alone=isinstance(settings.database, Path))
    credentials = CachedAuthenticating(Authenticating(store, keyring), replica.cache)
    entrance = Entrance(credentials, Refusals(store), mutations)
    guard = Guard(entrance, mutations, lambda: replica.fence.longest_wait)
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    # Services are registered with this one, and so behind the guard.
    guarded = cast("grpc.aio.Server", GuardedServer(server, guard.wrap))
    health = Health(store, [service for service in SERVICES if service.startswith("keyauthority.")])
    _add_services(guarded, store, keyring, clock, replica, last_used)
    add_HealthServicer_to_server(health.servicer, guarded)
    add_reflection([*SERVICES], guarded)
    port = _bind(server, settings)
    async with AsyncExitStack() as stack:
        # Ended from the last to the first: new changes are refused, those under way wait at the
        # fence while verifiers still get through, then no lease is granted any more, then it stops.
        stack.push_async_callback(lambda: server.stop(max(GRACE, replica.grace)))
        if isinstance(settings.database, PostgresUrl):
            hints = listening(settings.database, replica.watch.hint)
            await stack.enter_async_context(hints)
        await stack.enter_async_context(replica.running())
        stack.push_async_callback(mutations.close)
        stack.callback(replica.leave)
        stack.callback(health.servicer.leave)
        await stack.enter_async_context(_background(health.watch()))
        await stack.enter_async_context(_background(keep_house(store, settings.audit_retention)))
        await health.look()
        await server.start()
        yield port


def _add_services(
    server: grpc.aio.Server,
    store: Store,
    keyring: Keyring,
    clock: Clock,
    replica: Replica,
    last_used: LastUsed,
) -> None:
    changes = Changes(store, Spreading(replica.fence))
    pages = Pages(keyring)
    keys = KeyUseCases(
        issuing=Issuing(store, keyring, changes, last_used),
        finding=Finding(store, keyring, last_used),
        updating=Updating(changes, last_used),
        revoking=Revoking(changes, last_used),
        importing=Importing(keyring, changes),
    )
    callers = ManagingCallers(store, keyring, changes)
    workspaces = ManagingWorkspaces(store, changes)
    verifying = Verifying(store, keyring, last_used)
    verdicts = Verdicts(verifying, replica.cache, alone=replica.alone)
    revoking = RevokingPresented(store, keyring, changes)
    verification = VerificationServicer(verdicts, replica.syncing, revoking)
    add_VerificationServiceServicer_to_server(verification, server)
    add_KeyServiceServicer_to_server(KeyServicer(keys, pages, clock), server)
    add_WorkspaceServiceServicer_to_server(WorkspaceServicer(workspaces, pages), server)
    add_CallerServiceServicer_to_server(CallerServicer(callers, pages), server)
    add_AuditServiceServicer_to_server(AuditServicer(ReadingAudit(store), pages), server)
    operations = OperationsServicer(ManagingPeppers(store, keyring), ListingSessions(store))
    add_OperationsServiceServicer_to_server(operations, server)


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    credentials = _credentials(settings)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError:
        raise StartError(
            f"can't listen on {settings.listen}: is it in use, or not an address of this machine?"
        ) from None


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
        client_ca = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
        _check_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    except OSError as error:
        raise StartError(f"{error.filename} can't be read: {error.strerror}") from None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _check_tls(cert: Path, key: Path, client_ca: Path | None) -> None:
    # gRPC says of unusable ones only that it can't bind.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except ssl.SSLError:
        files = ", ".join(str(path) for path in (cert, key, client_ca) if path is not None)
        raise StartError(f"not a certificate chain and its private key, in PEM: {files}") from None


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the data directory {settings.data_dir} can't be made: {error.strerror}"
        ) from None


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
