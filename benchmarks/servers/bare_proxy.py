"""A bare aiohttp reverse proxy without authentication: PORT, UPSTREAM, ACCESS LOG on or off.

It streams both ways and drops what belongs to one connection, and does nothing else.
"""

from __future__ import annotations

import logging
import sys

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, hdrs, web
from yarl import URL

from benchmarks.servers.http import Handler, serve

_DROPPED = frozenset({"connection", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})


def _forwarding(session: ClientSession, upstream: str) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        sent = [(k, v) for k, v in request.headers.items() if k.lower() not in _DROPPED]
        async with session.request(
            request.method,
            URL(upstream + request.raw_path, encoded=True),
            headers=sent,
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


async def _serve(port: int, upstream: str, *, access_log: bool) -> None:
    connector = TCPConnector(limit=0)
    async with ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING),
    ) as session:
        await serve(_forwarding(session, upstream), port, access_log=access_log)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2], access_log=sys.argv[3] == "on"))
