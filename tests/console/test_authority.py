"""The authority as the console sees it: how often it is called, and what becomes of an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from console import statements
from console.authority import Acting, Authority, CreditsUnknownError
from keyauthority.client import Secret
from keyauthority.client.admin import (
    KeySettings,
    MissingError,
    Person,
    Role,
    UnavailableError,
    Workspace,
    callers,
    keys,
    ledger,
    workspaces,
)
from keyauthority.server import serving
from tests.ports import free_port
from tests.rpc.parts import settings_in


class Calls(grpc.aio.UnaryUnaryClientInterceptor):
    """Which methods were called."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        self.names.append(client_call_details.method.decode().rpartition("/")[2])
        return await continuation(client_call_details, request)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def acting(tmp_path: Path, calls: Calls) -> AsyncIterator[Acting]:
    """A fresh authority, called for nobody."""
    settings = settings_in(tmp_path)
    async with serving(settings) as port:
        address = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(address, interceptors=[calls]) as channel:
            token = Secret(settings.root_token.read_text().strip())
            yield Authority(channel, token).acting_for(None, "req_1")


async def made(acting: Acting, number: int) -> list[Workspace]:
    return [await acting.call(workspaces.create(f"acme {one}")) for one in range(number)]


async def test_many_workspaces_are_one_call(acting: Acting, calls: Calls) -> None:
    """In the order asked for, without those that are gone; for none nothing is asked."""
    some = await made(acting, 3)
    calls.names.clear()

    found = await acting.workspaces([some[2].id, "ws_gone", some[0].id])

    assert found == [some[2], some[0]]
    assert await acting.workspaces([]) == []
    assert calls.names == ["BatchGetWorkspaces"]


async def test_more_than_a_call_holds(acting: Acting, calls: Calls) -> None:
    """They are asked for a thousand at a time."""
    [one] = await made(acting, 1)
    calls.names.clear()
    ids = [f"ws_{number}" for number in range(2_000)]

    assert await acting.workspaces([*ids, one.id]) == [one]
    assert calls.names == ["BatchGetWorkspaces"] * 3


async def test_many_keys_are_one_call(acting: Acting, calls: Calls) -> None:
    """Those of the workspace: another one's are as missing as one that is gone."""
    here, there = await made(acting, 2)
    issued = [await acting.call(keys.issue(here.id, KeySettings(name))) for name in ("a", "b")]
    foreign = (await acting.call(keys.issue(there.id, KeySettings("c")))).key
    calls.names.clear()

    found = await acting.some_keys(here.id, [issued[1].key.id, foreign.id, issued[0].key.id, "x"])

    assert found == [issued[1].key, issued[0].key]
    assert calls.names == ["BatchGetKeys"]
    with pytest.raises(MissingError):
        await acting.key(here.id, foreign.id)


async def test_a_month_of_more_entries_than_a_statement_has_is_no_statement(
    acting: Acting,
) -> None:
    """Never a part of it: neither on the page nor in the file."""
    [workspace] = await made(acting, 1)
    for number in range(3):
        await acting.ledger(ledger.top_up(workspace.id, 1, f"order-{number}"))
    month = statements.month_of("", UTC, datetime.now(UTC))
    whole = await statements.read(acting, workspace.id, month, UTC, most=3)
    assert whole.entries == 3
    assert (await statements.csv(acting, workspace.id, month, most=3)).count(b"\r\n") == 4
    with pytest.raises(statements.TooLongError):
        await statements.read(acting, workspace.id, month, UTC, most=2)
    with pytest.raises(statements.TooLongError):
        await statements.csv(acting, workspace.id, month, most=2)


async def test_a_visitor_waits_once(tmp_path: Path) -> None:
    """What gave no answer to one question is not asked the next in the same request."""
    calls = Calls()
    address = f"127.0.0.1:{free_port()}"
    async with grpc.aio.insecure_channel(address, interceptors=[calls]) as channel:
        acting = Authority(channel, Secret("x")).acting_for(Person("person_1", "ada"), "req_1")
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await acting.call(workspaces.page())
    assert len(calls.names) == 1


async def test_a_credential_that_is_refused_is_an_outage(acting: Acting) -> None:
    """It is the console's own, and nothing that a visitor could mend."""
    stranger = Authority(acting._client.channel, Secret("noise")).acting_for(None, "req_1")
    with pytest.raises(UnavailableError):
        await stranger.call(workspaces.page())


async def test_a_missing_role_is_asked_about_once(acting: Acting, calls: Calls) -> None:
    """Each refusal would be audited; the calls that are no matter of credits go on."""
    [workspace] = await made(acting, 1)
    created = await acting.call(callers.create("console", [Role.ADMIN, Role.ISSUER]))
    authority = Authority(acting._client.channel, created.token)
    calls.names.clear()
    for _ in range(3):
        console = authority.acting_for(None, "req_1")
        with pytest.raises(CreditsUnknownError) as refused:
            await console.ledger(ledger.balance(workspace.id))
        assert refused.value.role_missing
        assert await console.workspaces([workspace.id])
    assert calls.names.count("GetBalance") == 1


async def test_an_authority_without_credits_is_no_outage() -> None:
    """One that lacks the method still answers the rest of the page."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            acting = Authority(channel, Secret("x")).acting_for(None, "req_1")
            with pytest.raises(CreditsUnknownError) as refused:
                await acting.ledger(ledger.balance("ws_1"))
        assert not refused.value.role_missing
    finally:
        await server.stop(None)


async def test_credits_that_give_no_answer_are_an_outage(tmp_path: Path) -> None:
    """Nothing else is asked in the same request."""
    calls = Calls()
    address = f"127.0.0.1:{free_port()}"
    async with grpc.aio.insecure_channel(address, interceptors=[calls]) as channel:
        acting = Authority(channel, Secret("x")).acting_for(None, "req_1")
        for call in (ledger.balance("ws_1"), ledger.balance("ws_1")):
            with pytest.raises(UnavailableError):
                await acting.ledger(call)
    assert calls.names == ["GetBalance"]


class Slow:
    """A method that gives no answer; `left` is the time that its caller would have had."""

    def __init__(self) -> None:
        self.left = 0.0
        self.cancelled = asyncio.Event()

    async def answer(self, request: bytes, context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            self.left = context.time_remaining()
            self.cancelled.set()
        return b""


@pytest.mark.parametrize("slow", [True, False], ids=["slow", "older"])
async def test_usage_that_can_not_be_had_soon_is_no_outage(slow: bool) -> None:
    """The page goes on without it, and asks what else it needs."""
    server, calls, method = grpc.aio.server(), Calls(), Slow()
    if slow:
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "SummarizeUsage": grpc.unary_unary_rpc_method_handler(method.answer)
        }
        service = "keyauthority.v1.LedgerService"
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        address = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(address, interceptors=[calls]) as channel:
            acting = Authority(channel, Secret("x")).acting_for(None, "req_1")
            now = datetime.now(UTC)
            assert await acting.usage("ws_1", start=now, end=now) is None
            with pytest.raises(UnavailableError):
                await acting.call(workspaces.page())
        assert calls.names == ["SummarizeUsage", "ListWorkspaces"]
        if slow:
            # It was not waited for as long as for what a page needs.
            await method.cancelled.wait()
            assert method.left > 1
    finally:
        await server.stop(None)


async def test_usage_without_the_role_is_asked_for_once(acting: Acting, calls: Calls) -> None:
    """As anything else about credits."""
    [workspace] = await made(acting, 1)
    created = await acting.call(callers.create("console", [Role.ADMIN, Role.ISSUER]))
    authority = Authority(acting._client.channel, created.token)
    calls.names.clear()
    now = datetime.now(UTC)
    for _ in range(3):
        console = authority.acting_for(None, "req_1")
        assert await console.usage(workspace.id, start=now, end=now) is None
    assert calls.names == ["SummarizeUsage"]
