"""A gateway that bills, its real authority, and an upstream that keeps a bill of its own."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from aiohttp import ClientSession, web

from keyauthority.pricing.amounts import NANO
from keyauthority.v1.key_service_pb2 import IssueKeyRequest
from keyauthority.v1.ledger_service_pb2 import (
    Balance,
    EntryKind,
    GetBalanceRequest,
    LedgerEntry,
    ListEntriesRequest,
    SetPricesRequest,
    TopUpRequest,
    VerifyLedgerRequest,
)
from keyauthority.v1.price_pb2 import Price, Rates
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from tests.rpc.parts import Api, eventually

CHAT = "/v1/chat/completions"
MODEL = "gpt-test"
INPUT, OUTPUT = 2_000, 8_000
"""Nano-credits a token, of the request and of the answer."""
TOKENS = Rates(input=INPUT * 10**6, output=OUTPUT * 10**6)

SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
_numbers = count(1)


@dataclass(frozen=True)
class Account:
    """One workspace with a key."""

    root: Api
    workspace_id: str
    key_id: str
    secret: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def top_up(self, nano_credits: int) -> None:
        await self.root(
            TopUpRequest(
                workspace_id=self.workspace_id,
                amount_nano_credits=nano_credits,
                purchase_id=f"purchase {next(_numbers)}",
            )
        )

    async def balance(self) -> Balance:
        response = await self.root(GetBalanceRequest(workspace_id=self.workspace_id))
        balance: Balance = response.balance
        return balance

    async def charges(self, number: int) -> list[LedgerEntry]:
        """The charges, the oldest first, once there are *number* of them."""
        entries: list[LedgerEntry] = []

        async def are_there() -> bool:
            request = ListEntriesRequest(
                workspace_id=self.workspace_id,
                kind=EntryKind.ENTRY_KIND_CHARGE,
                page_size=1000,
            )
            entries[:] = reversed((await self.root(request)).entries)
            return len(entries) >= number

        await eventually(are_there)
        assert len(entries) == number
        return entries

    async def charge(self) -> LedgerEntry:
        """The only charge."""
        [charge] = await self.charges(1)
        return charge

    async def adds_up(self) -> bool:
        proof = await self.root(VerifyLedgerRequest(workspace_id=self.workspace_id))
        return not proof.faults


@dataclass(frozen=True)
class Books:
    """The authority, as its operator sees it."""

    root: Api

    async def account(self, nano_credits: int = 10 * NANO) -> Account:
        created = await self.root(CreateWorkspaceRequest(name="acme"))
        workspace_id = created.workspace.id
        issued = await self.root(IssueKeyRequest(workspace_id=workspace_id, name="a key"))
        account = Account(self.root, workspace_id, issued.key.id, issued.secret)
        if nano_credits:
            await account.top_up(nano_credits)
        return account

    async def price(self, model: str, path: str, rates: Rates) -> None:
        await self.root(SetPricesRequest(prices=[Price(model=model, path=path, rates=rates)]))


Respond = Callable[[web.BaseRequest, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """Answers chat completions, and writes down what each used, by request id."""

    bill: dict[str, tuple[int, int]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    respond: Respond | None = None
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        try:
            body = await request.content.read()
            self.bodies.append(body)
            self.reached.set()
            asked = json.loads(body) if body.startswith(b"{") else {}
            if self.respond is not None:
                return await self.respond(request, asked)
            return await self.honest(request, asked)
        except asyncio.CancelledError:
            self.gone.set()
            raise

    async def honest(self, request: web.BaseRequest, asked: dict[str, Any]) -> web.StreamResponse:
        """As many tokens as `max_tokens` says, and 11 of the request."""
        used = 11, int(asked.get("max_tokens", 7))
        self.bill[request.headers["x-request-id"]] = used
        if asked.get("stream"):
            with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            return await stream(request, events(used, with_usage=with_usage))
        return web.json_response(completion(used))

    def cost(self, request_id: str) -> int:
        """What the bill says of one request, at `TOKENS`."""
        return cost(*self.bill[request_id])


def cost(input_tokens: int, output_tokens: int) -> int:
    return input_tokens * INPUT + output_tokens * OUTPUT


def usage(used: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}


def completion(used: tuple[int, int] | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello"}
    answer: dict[str, Any] = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return answer if used is None else {**answer, "usage": usage(used)}


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def piece(text: str, *, with_usage: bool = False) -> bytes:
    chunk: dict[str, Any] = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return event({**chunk, "usage": None} if with_usage else chunk)


def events(used: tuple[int, int], *, with_usage: bool) -> list[bytes]:
    """A whole stream, as OpenAI writes it."""
    pieces = [piece("abc", with_usage=with_usage) for _ in range(used[1])]
    last = {"object": "chat.completion.chunk", "choices": [], "usage": usage(used)}
    return [*pieces, *([event(last)] if with_usage else []), DONE]


async def stream(
    request: web.BaseRequest, pieces: list[bytes], headers: Mapping[str, str] = MappingProxyType({})
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**SSE, **headers})
    await response.prepare(request)
    for each in pieces:
        await response.write(each)
    await response.write_eof()
    return response


@dataclass(frozen=True)
class Client:
    """Calls one gateway with one key."""

    http: ClientSession
    url: str
    account: Account

    async def chat(self, **fields: Any) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields and body of an answer."""
        return await self.send(json.dumps(question(**fields)).encode())

    async def send(
        self, body: bytes, path: str = CHAT, method: str = "POST"
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {**self.account.headers, "Content-Type": "application/json"}
        async with self.http.request(
            method, self.url + path, data=io.BytesIO(body) if body else None, headers=headers
        ) as answer:
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, fields, await answer.read()


def question(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **fields}


def code_of(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code
