"""What the official `openai` clients say in header fields, straight and through the gateway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import openai
import pytest

from tests.gateway.parts import FakeUpstream, RecordingAuthority
from tests.node import FOLDER, node_with_packages

Ask = Callable[[str, str], Awaitable[None]]

STAYS_HERE = {"authorization", "connection", "host", "sec-fetch-mode"}
"""The credential, what is between neighbours, and what a browser's `fetch` says of itself."""

IS_ADDED = {"via", "x-request-id"}


async def from_python(base_url: str, secret: str) -> None:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=base_url, api_key=secret, http_client=http) as client:
        await client.models.list(extra_headers={"OpenAI-Beta": "assistants=v2"})
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}]
        )


def from_node(package: str) -> Ask:
    async def ask(base_url: str, secret: str) -> None:
        node = node_with_packages()
        process = await asyncio.create_subprocess_exec(
            node, "client.js", package, cwd=FOLDER,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": secret},
        )  # fmt: skip
        await process.communicate(b"models\nask\n")

    return ask


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(from_python, id="python"),
        pytest.param(from_node("openai-6"), id="node-openai-6"),
        pytest.param(from_node("openai-7"), id="node-openai-7"),
    ],
)
async def test_the_upstream_hears_what_the_client_says(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, ask: Ask
) -> None:
    """All of it, but the credential and what is between neighbours."""
    secret = authority.issue()

    await ask(f"{upstream.url}/v1", secret)
    straight, upstream.received = upstream.received, []
    await ask(f"http://127.0.0.1:{port}/v1", secret)

    assert len(straight) == len(upstream.received) == 2
    for said, heard in zip(straight, upstream.received, strict=True):
        expected = {name: value for name, value in said.headers if name not in STAYS_HERE}
        passed = {n: v for n, v in heard.headers if n not in IS_ADDED | {"host"}}
        assert {n: v for n, v in passed.items() if not n.startswith("x-opentoken-")} == expected
        assert {n for n, _ in said.headers if n.startswith("x-stainless-")} <= passed.keys()
        assert heard.body == said.body
