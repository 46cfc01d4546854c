"""A bare aiohttp handler that gives one answer: PORT, HEADERS as JSON, ACCESS LOG on or off."""

from __future__ import annotations

import json
import logging
import sys

import uvloop
from aiohttp import web

from benchmarks.servers.http import Handler, serve


def _answering(headers: dict[str, str]) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers=headers)

    return handle


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    handler = _answering(json.loads(sys.argv[2]))
    uvloop.run(serve(handler, int(sys.argv[1]), access_log=sys.argv[3] == "on"))
