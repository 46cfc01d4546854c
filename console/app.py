"""The composition root of the console: it makes and wires every part, and ends them in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import structlog

from console.authority import Authority
from console.config import LIMITS, Settings
from console.dispatch import Dispatcher, full_answer
from console.oidc import Provider, provider_session
from console.paths import url
from console.people import LinkInvalid, People, StoreUnavailable, open_people
from console.rendering import Assets, Rendering
from console.visit import Parts
from keyauthority.base.http.request import Request
from keyauthority.base.http.server import Server
from keyauthority.base.process.binding import bind, server_tls
from keyauthority.base.process.files import write_private
from keyauthority.base.process.lifecycle import (
    StartError,
    run_until_stopped,
    start_errors,
)
from keyauthority.base.relational.outages import StorageError
from keyauthority.client import SECRET_MARK, client_certificate, connect, load_token
from keyauthority.client.admin import CHANGING, READING

_log = structlog.get_logger("console")

_FINISHING: Final = CHANGING + 3 * READING
"""Seconds for forms whose browsers have left: more than the calls of the slowest page take."""
_SWEEPING: Final = 3600.0
"""Seconds between two deletions of ended sessions, links and counts."""


async def serve(settings: Settings, show_link: Callable[[str], None]) -> None:
    """Runs the console until SIGTERM or SIGINT. *show_link* gets the first administrator's link.

    Raises:
        StartError, SecretFileError: It cannot start; the message says why.
    """
    await run_until_stopped("console", running(settings, show_link), listen=settings.listen)


@asynccontextmanager
async def running(
    settings: Settings,
    show_link: Callable[[str], None],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[int]:
    """Runs the console while the context lasts, and drains it at the end.

    Yields:
        The port it listens on.

    Raises:
        StartError, SecretFileError: It cannot start; the message says why.
    """
    async with AsyncExitStack() as stack:
        listening = bind(settings.listen)
        stack.callback(listening.close)
        port = listening.getsockname()[1]
        tls = server_tls(settings.tls_cert, settings.tls_key)
        parts = await _parts(settings, settings.public(port), clock, stack)
        await _offer_setup(parts, show_link)
        dispatcher = Dispatcher(parts)
        server = Server(
            dispatcher.handle, dispatcher.refuse, full_answer, Request, LIMITS, SECRET_MARK
        )
        listener = await server.listen(listening, tls)
        sweeping = asyncio.create_task(_sweep(parts.books))
        try:
            yield port
        finally:
            sweeping.cancel()
            await asyncio.wait([sweeping])
            server.leave()
            listener.close()
            await server.drain(settings.grace)
            await dispatcher.finish(_FINISHING)


async def _parts(
    settings: Settings, public_url: str, clock: Callable[[], datetime], stack: AsyncExitStack
) -> Parts:
    token = load_token(settings.token_file)
    certificate = client_certificate(settings.tls_client_cert, settings.tls_client_key)
    with start_errors():
        channel = connect(
            settings.authority, tls_ca=settings.tls_ca, client_certificate=certificate
        )
    stack.push_async_callback(channel.close)
    try:
        books = await stack.enter_async_context(
            open_people(
                settings.database,
                clock,
                idle=settings.session_idle,
                absolute=settings.session_lifetime,
            )
        )
    except StorageError as error:
        raise StartError(str(error)) from None
    provider = None
    if settings.oidc is not None:
        session = await stack.enter_async_context(provider_session())
        redirect_uri = public_url + url("sign_in_callback")
        provider = Provider(settings.oidc, redirect_uri, session, clock)
    assets = Assets()
    return Parts(
        settings=settings,
        public_url=public_url,
        books=books,
        authority=Authority(channel, token),
        rendering=Rendering(assets, clock),
        assets=assets,
        provider=provider,
        clock=clock,
    )


async def _offer_setup(parts: Parts, show_link: Callable[[str], None]) -> None:
    # Each start makes a new link while there is no administrator: the last one may be lost.
    settings = parts.settings
    try:
        token = await parts.books.links.new_setup()
    except LinkInvalid:
        parts.forget_setup_link()
        return
    except StoreUnavailable as error:
        raise StartError(str(error)) from None
    link = parts.public_url + url("setup", token=token.reveal())
    if settings.setup_link_file is None:
        show_link(link)
    else:
        with start_errors(f"write {settings.setup_link_file}"):
            write_private(settings.setup_link_file, link + "\n")


async def _sweep(books: People) -> None:
    while True:
        try:
            await books.sessions.sweep()
        except StoreUnavailable as error:
            _log.warning("not_swept", reason=str(error))
        except Exception:  # noqa: BLE001  # the next round may succeed
            _log.exception("not_swept")
        await asyncio.sleep(_SWEEPING)
