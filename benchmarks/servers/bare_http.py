"""Bare aiohttp servers: PORT, ACCESS LOG on or off, and what they do.

`answer HEADERS` gives one answer, with header fields from JSON. `forward UPSTREAM` is a reverse
proxy without authentication, which streams both ways, drops what belongs to one connection, and
does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, hdrs, web
from yarl import URL

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_DROPPED = frozenset({"connection", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})


def _answer(headers: dict[str, str]) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers=headers)

    return handle


def _forward(session: ClientSession, upstream: str) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _DROPPED]
        async with session.request(
            request.method,
            URL(upstream + request.raw_path, encoded=True),
            headers=headers,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            response.headers.extend(
                (k, v) for k, v in answer.headers.items() if k.lower() not in _DROPPED
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    return handle


async def _serve(port: int, access_log: str, action: str, argument: str) -> None:
    async with ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING),
    ) as session:
        answering = action == "answer"
        handler = _answer(json.loads(argument)) if answering else _forward(session, argument)
        log = logging.getLogger("aiohttp.access") if access_log == "on" else None
        runner = web.ServerRunner(web.Server(handler, access_log=log))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    uvloop.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
