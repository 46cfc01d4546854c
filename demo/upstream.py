"""A stand-in for the API behind the gateway: OpenAI-shaped, streaming too, and quick to agree.

    python -m demo.upstream HOST:PORT KEY_FILE

It answers only to its own credential, which no client of the gateway has: it refuses requests that
bypass the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from aiohttp import web

MODELS: Final = ("google/gemini-3-flash", "opentoken/echo", "opentoken/premium")
PAUSE: Final = 0.03
"""Seconds between two words of a stream."""

_KEY: Final = web.AppKey("key", str)


def create_app(key: str) -> web.Application:
    """Returns the stand-in, which answers to *key*."""
    app = web.Application(middlewares=[_authenticate])
    app[_KEY] = key
    app.router.add_get("/v1/models", _models)
    # The clients encode the slash in a model's name, or do not.
    app.router.add_get("/v1/models/{name:.+}", _model)
    app.router.add_post("/v1/chat/completions", _chat)
    return app


@web.middleware
async def _authenticate(request: web.Request, handler: Any) -> web.StreamResponse:
    presented = request.headers.get("Authorization", "")
    if not hmac.compare_digest(presented.encode(), f"Bearer {request.app[_KEY]}".encode()):
        return _refuse(401, "this upstream answers to the gateway only", "authentication_error")
    answer: web.StreamResponse = await handler(request)
    return answer


async def _models(_request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": list(map(_described, MODELS))})


async def _model(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in MODELS:
        return _refuse(404, f"the model {name} does not exist", "invalid_request_error")
    return web.json_response(_described(name))


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "demo"}


async def _chat(request: web.Request) -> web.StreamResponse:
    try:
        body = json.loads(await request.read())
        prompt = str(body["messages"][-1]["content"])
        model, stream = str(body["model"]), bool(body.get("stream"))
        tells_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return _refuse(400, "model and messages are required", "invalid_request_error")
    workspace = request.headers.get("x-opentoken-workspace-id", "nobody")
    words = f"You said: {prompt} (billed to {workspace})".split(" ")
    if stream:
        usage = _usage(prompt, words) if tells_usage else None
        return await _stream(request, model, words, usage)
    return web.json_response(_completion(model, " ".join(words), prompt))


async def _stream(
    request: web.Request, model: str, words: list[str], usage: dict[str, int] | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    with contextlib.suppress(ConnectionResetError):  # the client has left
        await response.prepare(request)
        async for chunk in _chunks(model, words, usage):
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
    return response


async def _chunks(
    model: str, words: list[str], usage: dict[str, int] | None
) -> AsyncIterator[dict[str, Any]]:
    head = _head("chat.completion.chunk", model)
    if usage is not None:
        head["usage"] = None
    yield head | {"choices": [_choice({"role": "assistant", "content": ""}, None)]}
    for number, word in enumerate(words):
        content = f" {word}" if number else word
        yield head | {"choices": [_choice({"content": content}, None)]}
        await asyncio.sleep(PAUSE)
    yield head | {"choices": [_choice({}, "stop")]}
    if usage is not None:
        yield head | {"choices": [], "usage": usage}


def _choice(delta: dict[str, str], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _completion(model: str, text: str, prompt: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = _usage(prompt, text.split())
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _head("chat.completion", model) | {"choices": [choice], "usage": usage}


def _usage(prompt: str, words: list[str]) -> dict[str, int]:
    before, after = len(prompt.split()), len(words)
    return {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after}


def _head(kind: str, model: str) -> dict[str, Any]:
    identity = f"chatcmpl-{uuid.uuid4().hex[:24]}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}


def _refuse(status: int, message: str, kind: str) -> web.Response:
    error = {"message": message, "type": kind, "code": None}
    return web.json_response({"error": error}, status=status)


def main() -> None:
    """Serves until stopped."""
    listen, key_file = sys.argv[1:]
    host, _, port = listen.rpartition(":")
    key = Path(key_file).read_text().strip()
    try:
        asyncio.run(_serve(create_app(key), host, int(port)))
    except OSError as error:
        sys.exit(f"can't listen on {listen}: {os.strerror(error.errno or 0)}")


async def _serve(app: web.Application, host: str, port: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(json.dumps({"event": "serving", "port": runner.addresses[0][1]}), file=sys.stderr)
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
