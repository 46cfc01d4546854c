"""A bare aiohttp handler that gives one answer: PORT, HEADERS as a JSON object."""

from __future__ import annotations

import json
import sys

import uvloop
from aiohttp import web

from benchmarks.servers.http import Handler, serve


def _answering(headers: dict[str, str]) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers=headers)

    return handle


if __name__ == "__main__":
    uvloop.run(serve(_answering(json.loads(sys.argv[2])), int(sys.argv[1])))
