"""An upstream that keeps its own bill: what it answered to each request, and what that used."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

WHOLE, BROKEN, REFUSED = "whole", "broken", "refused"


@dataclass
class Line:
    """One request on the bill: how it ended, and the tokens it used, if it came to its end."""

    model: str
    ending: str = BROKEN
    prompt_tokens: int = 0
    completion_tokens: int = 0
    arrivals: int = 1


@dataclass
class Upstream:
    """Answers by the model that it is asked for, and notes it by the request's id."""

    seed: int = 1
    port: int = 0
    bill: dict[str, Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A chat completion: whole, streamed, broken off or refused."""
        body = await request.json()
        model = body["model"]
        line = self._note(request.headers["x-request-id"], model)
        await asyncio.sleep(self._chance.uniform(0, 0.05))
        if model == "test/refused":
            line.ending = REFUSED
            return web.json_response({"error": {"message": "no"}}, status=500)
        usage = {
            "prompt_tokens": self._chance.randint(1, 100),
            "completion_tokens": self._chance.randint(1, 200),
        }
        if model == "test/json":
            line.prompt_tokens, line.completion_tokens = usage.values()
            line.ending = WHOLE
            message = {"role": "assistant", "content": "word " * 20}
            return web.json_response({"choices": [{"message": message}], "usage": usage})
        return await self._stream(request, body, line, usage)

    def _note(self, request_id: str, model: str) -> Line:
        if request_id in self.bill:
            self.bill[request_id].arrivals += 1
        return self.bill.setdefault(request_id, Line(model))

    async def _stream(
        self, request: web.Request, body: dict[str, Any], line: Line, usage: dict[str, int]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(10):
            delta = {"choices": [{"index": 0, "delta": {"content": "word "}}], "usage": None}
            await response.write(f"data: {json.dumps(delta)}\n\n".encode())
            await asyncio.sleep(0.005)
        if line.model == "test/broken":
            assert request.transport is not None
            request.transport.abort()
            return response
        line.prompt_tokens, line.completion_tokens = usage.values()
        assert body["stream_options"]["include_usage"] is True
        line.ending = WHOLE
        last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"
        await response.write(last.encode())
        await response.write_eof()
        return response


@asynccontextmanager
async def upstream_running(seed: int = 1) -> AsyncIterator[Upstream]:
    """One on loopback."""
    upstream = Upstream(seed)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.port = runner.addresses[0][1]
        yield upstream
    finally:
        await runner.cleanup()
