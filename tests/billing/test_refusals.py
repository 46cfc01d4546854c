"""Who gets no credits, and what clients are told: nothing of it reaches the upstream."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.base.process.lifecycle import StartError
from keyauthority.edge.envelope import Refusal
from keyauthority.pricing.amounts import NANO
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import UpdateKeyRequest
from keyauthority.v1.ledger_service_pb2 import AdjustRequest
from keyauthority.v1.price_pb2 import Rates
from keyauthority.v1.wire import timestamp
from tests.billing.conftest import StartGateway
from tests.billing.parts import (
    CHAT,
    Account,
    Books,
    Client,
    Upstream,
    code_of,
    cost,
    question,
)
from tests.e2e.cable import cable
from tests.rpc.parts import Authority, eventually


def check(answer: tuple[int, dict[str, str], bytes], refusal: Refusal) -> None:
    """The answer is the row of *refusal*, whole."""
    status, headers, body = answer
    assert (status, body) == (refusal.status, refusal.body)
    assert all(headers[name.lower()] == value for name, value in refusal.headers.items())
    assert headers["x-request-id"]


async def test_without_credits_the_answer_is_402_until_somebody_tops_up(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """Clients are told not to try again; the first request after the top-up is answered."""
    account = await books.account(0)
    client = Client(http, url, account)
    for _ in range(3):
        check(await client.chat(), Refusal.CREDIT_BALANCE_EXHAUSTED)
    assert upstream.bodies == []
    assert (await account.balance()).escrowed_nano_credits == 0

    await account.top_up(NANO)
    status, _, _ = await client.chat()

    assert status == 200


async def test_a_request_takes_what_is_left_and_the_next_is_refused(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """The balance falls below zero by what that one cost more than was left, and by no more."""
    account = await books.account(cost(11, 7) - 1)
    client = Client(http, url, account)

    status, _, _ = await client.chat()
    assert status == 200
    await account.charges(1)
    check(await client.chat(), Refusal.CREDIT_BALANCE_EXHAUSTED)

    assert (await account.balance()).balance_nano_credits == -1
    assert await account.adds_up()


async def test_the_status_may_be_429(
    start_gateway: StartGateway, http: ClientSession, books: Books
) -> None:
    """For clients that look for the code there."""
    url = await start_gateway(exhausted_status=429)
    client = Client(http, url, await books.account(0))

    check(await client.chat(), Refusal.CREDIT_BALANCE_EXHAUSTED_429)


async def test_credits_that_running_requests_hold_are_waited_for(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """429, and soon again: there are credits, but a running request may need all of them."""
    account = await books.account(1_000)
    client = Client(http, url, account)
    answer = asyncio.Event()

    async def wait(request: web.BaseRequest, asked: dict[str, Any]) -> web.StreamResponse:
        await answer.wait()
        return web.json_response({}, status=500)

    upstream.respond = wait
    running = asyncio.create_task(client.chat())
    await upstream.reached.wait()
    check(await client.chat(), Refusal.IN_FLIGHT_BUDGET_EXHAUSTED)

    answer.set()
    assert (await running)[0] == 500
    upstream.respond = None
    assert (await client.chat())[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, question(model="other")),
        ("/v1/embeddings", question()),
        (CHAT, {"messages": []}),
    ],
)
async def test_what_has_no_price_is_refused(
    client: Client, upstream: Upstream, path: str, body: dict[str, Any]
) -> None:
    """Another model, another path, no model at all."""
    check(await client.send(json.dumps(body).encode(), path), Refusal.MODEL_NOT_PRICED)
    assert upstream.bodies == []


async def test_the_price_of_everything_counts_where_it_is_allowed(
    start_gateway: StartGateway, http: ClientSession, books: Books, account: Account
) -> None:
    """With `--unpriced default`, and also for bodies that name no model."""
    await books.price("*", "*", Rates(request=5))
    default, refusing = await start_gateway(unpriced="default"), await start_gateway()

    check(await Client(http, refusing, account).chat(model="x"), Refusal.MODEL_NOT_PRICED)
    client = Client(http, default, account)
    assert (await client.chat(model="x"))[0] == 200
    assert (await client.send(b"{}", "/v1/files"))[0] == 200

    charges = await account.charges(2)
    assert [-charge.amount_nano_credits for charge in charges] == [5, 5]
    assert [charge.use.model for charge in charges] == ["x", ""]


async def test_a_body_that_is_too_large_to_be_looked_at_names_no_model(
    start_gateway: StartGateway, http: ClientSession, books: Books, account: Account
) -> None:
    """It is passed on whole, or refused, by whether the path has a price for all models."""
    url = await start_gateway(max_metered_body_bytes=1000)
    client = Client(http, url, account)
    large = json.dumps(question(user="x" * 100_000)).encode()

    check(await client.send(large), Refusal.MODEL_NOT_PRICED)
    await books.price("*", "/v1/audio/transcriptions", Rates(request=5))
    assert (await client.send(large, "/v1/audio/transcriptions"))[0] == 200

    assert -(await account.charge()).amount_nano_credits == 5


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-test","model":"other","messages":[]}',
        b'{"model":"gpt-test"',
        b'{"Model":"gpt-test"}',
    ],
)
async def test_what_two_readers_understand_differently_is_refused(
    client: Client, upstream: Upstream, body: bytes
) -> None:
    """The client would choose which price counts."""
    check(await client.send(body), Refusal.BAD_REQUEST)
    assert upstream.bodies == []


@pytest.mark.parametrize("body", [json.dumps(question()).encode(), b""])
async def test_a_query_names_nothing_that_decides(
    client: Client, upstream: Upstream, body: bytes
) -> None:
    """Some upstreams prefer it to the body. Others are passed on."""
    check(await client.send(body, CHAT + "?a=1&model=dear"), Refusal.BAD_REQUEST)
    assert upstream.bodies == []
    assert (await client.send(json.dumps(question()).encode(), CHAT + "?beta=true"))[0] == 200


@pytest.mark.parametrize("coding", ["gzip", "identity, br"])
async def test_a_compressed_body_is_refused(
    client: Client, http: ClientSession, account: Account, upstream: Upstream, coding: str
) -> None:
    """Its model is not known here, but there. What is free is passed on."""
    headers = {**account.headers, "Content-Type": "application/json", "Content-Encoding": coding}
    body = gzip.compress(json.dumps(question()).encode())
    async with http.post(client.url + CHAT, data=io.BytesIO(body), headers=headers) as answer:
        assert (answer.status, await answer.read()) == (400, Refusal.BAD_REQUEST.body)
    assert upstream.bodies == []
    async with http.get(client.url + "/v1/models", headers=headers) as answer:
        assert answer.status == 200


async def test_what_is_free_is_not_read(client: Client, upstream: Upstream) -> None:
    """Whatever its path, query and body may mean."""
    for path in ("/v1/files/%ff", "/v1/models?model=a"):
        assert (await client.send(b'{"model":1}', path, "GET"))[0] == 200
    assert len(upstream.bodies) == 2


async def test_a_new_price_is_in_force_when_it_returns(
    client: Client, books: Books, account: Account
) -> None:
    """The next request goes by it, without a start of the gateway."""
    assert (await client.chat(model="new"))[0] == 400
    await books.price("new", CHAT, Rates(request=77))
    assert (await client.chat(model="new"))[0] == 200

    assert -(await account.charge()).amount_nano_credits == 77


async def test_a_reduction_is_in_force_when_it_returns(client: Client, account: Account) -> None:
    """Whatever the gateway had at hand."""
    assert (await client.chat())[0] == 200
    await account.charges(1)
    left = (await account.balance()).balance_nano_credits
    await account.root(
        AdjustRequest(
            workspace_id=account.workspace_id,
            amount_nano_credits=-left,
            reason="a mistake",
            reference="adjustment 1",
        )
    )

    check(await client.chat(), Refusal.CREDIT_BALANCE_EXHAUSTED)


async def test_without_the_authority_there_is_no_word_and_no_refusal(
    start_gateway: StartGateway,
    http: ClientSession,
    books: Books,
    account: Account,
    authority: Authority,
) -> None:
    """503: never 402, and never free. What is at hand is spent under the lease, and charged later."""
    other = await books.account()
    with cable() as line:
        line.target = authority.port
        url = await start_gateway(authority=f"127.0.0.1:{line.port}")
        client, newcomer = Client(http, url, account), Client(http, url, other)
        assert (await client.chat())[0] == 200
        assert (await newcomer.send(b"", "/v1/models", "GET"))[0] == 200
        await account.charges(1)
        line.cut()

        # At once: the lease may be over when the newcomer has waited for a word.
        assert (await client.chat())[0] == 200
        check(await newcomer.chat(), Refusal.BILLING_UNAVAILABLE)
        async with asyncio.timeout(10):
            while (answer := await client.chat())[0] == 200:
                pass
        assert code_of(answer[2]) in {"billing_unavailable", "verification_unavailable"}
        line.mend()

        async def is_answered() -> bool:
            return (await newcomer.chat())[0] == 200

        await eventually(is_answered)
        assert -(await other.charge()).amount_nano_credits == cost(11, 7)


async def test_without_a_folder_for_the_spool_nothing_starts(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    """With one sentence that names it."""
    with pytest.raises(StartError, match="no spool can be made in"):
        await start_gateway(spool=tmp_path / "missing")


async def test_a_key_is_told_what_it_is_and_has(
    client: Client, account: Account, upstream: Upstream, http: ClientSession, url: str
) -> None:
    """By the gateway itself, at no cost."""
    status, headers, body = await client.send(b"", "/v1/key", "GET")

    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {
        "id": account.key_id,
        "workspace_id": account.workspace_id,
        "name": "a key",
        "scopes": [],
        "expire_time": None,
        "available": "10",
        "available_nano_credits": str(10 * NANO),
    }
    check(await client.send(b"", "/v1/key", "DELETE"), Refusal.NOT_FOUND)
    async with http.get(f"{url}/v1/key") as answer:
        assert (answer.status, code_of(await answer.read())) == (401, "missing_auth")
    assert upstream.headers == []
    assert (await account.balance()).balance_nano_credits == 10 * NANO


async def test_a_key_is_told_when_it_expires(client: Client, account: Account) -> None:
    """In RFC 3339, as of the change that has just returned."""

    async def told() -> object:
        _, _, body = await client.send(b"", "/v1/key", "GET")
        return json.loads(body)["expire_time"]

    moment = datetime.now(UTC).replace(microsecond=5) + timedelta(days=5)
    key = Key(id=account.key_id, expire_time=timestamp(moment))
    assert await told() is None
    await account.root(UpdateKeyRequest(key=key))
    assert await told() == moment.strftime("%Y-%m-%dT%H:%M:%S.000005Z")
    cleared = FieldMask(paths=["expire_time"])
    await account.root(UpdateKeyRequest(key=Key(id=key.id), update_mask=cleared))
    assert await told() is None


async def test_a_key_without_credits_is_told_so(
    http: ClientSession, url: str, books: Books
) -> None:
    """It is no error."""
    status, _, body = await Client(http, url, await books.account(0)).send(b"", "/v1/key", "GET")

    assert (status, json.loads(body)["available"]) == (200, "0")


async def test_a_proxy_may_ask_for_credits(
    http: ClientSession, url: str, books: Books, account: Account
) -> None:
    """It is refused as the request would be; nothing is held afterwards."""
    empty = await books.account(0)
    for path in ("/authz?credits=1", "/authz?x=1&credits=1"):
        assert (await Client(http, url, account).send(b"", path, "GET"))[0] == 200
        check(
            await Client(http, url, empty).send(b"", path, "GET"), Refusal.CREDIT_BALANCE_EXHAUSTED
        )
    assert (await Client(http, url, empty).send(b"", "/authz", "GET"))[0] == 200


async def test_without_billing_nobody_says_that_there_are_credits(
    start_gateway: StartGateway, http: ClientSession, account: Account
) -> None:
    """A proxy that asks is refused; a key is told all but that."""
    url = await start_gateway(billing="off")
    client = Client(http, url, account)

    check(await client.send(b"", "/authz?credits=1", "GET"), Refusal.BAD_REQUEST)
    assert set(json.loads((await client.send(b"", "/v1/key", "GET"))[2])) == {
        "id",
        "workspace_id",
        "name",
        "scopes",
        "expire_time",
    }
