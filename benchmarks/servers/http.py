"""Serving a handler with aiohttp, as bare as it comes: no router, no middleware."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def serve(handler: Handler, port: int, *, access_log: bool = False) -> None:
    """Serves *handler* on loopback until the process ends."""
    log = logging.getLogger("aiohttp.access") if access_log else None
    runner = web.ServerRunner(web.Server(handler, access_log=log))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()
