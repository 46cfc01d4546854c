"""Setting and listing prices."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest

from keyauthority.domain.callers import Role
from keyauthority.domain.credits.pricing import AT_ONCE, CLOCKS, MOST
from keyauthority.pricing.prices import PriceTable
from keyauthority.v1.audit_service_pb2 import Action, ListAuditEntriesRequest
from keyauthority.v1.ledger_service_pb2 import (
    ListPricesRequest,
    SetPricesRequest,
    SetPricesResponse,
)
from keyauthority.v1.price_pb2 import Price, Rates
from keyauthority.v1.price_rows import message_of, price_of
from keyauthority.v1.spending_service_pb2 import (
    ListCurrentPricesRequest,
    ListCurrentPricesResponse,
)
from keyauthority.v1.wire import timestamp
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, Authority, invalid_field, reason, refusal

DAY = timedelta(days=1)
RATES = Rates(input=2_500_000_000, output=10_000_000_000)


def row(time: datetime | None = None, rates: Rates = RATES, **fields: Any) -> Price:
    return Price(
        **{"model": "gpt-5", "path": "/v1/*", **fields},
        effective_time=None if time is None else timestamp(time),
        rates=rates,
    )


async def set_prices(root: Api, *rows: Price) -> SetPricesResponse:
    response: SetPricesResponse = await root(SetPricesRequest(prices=rows))
    return response


async def current(authority: Authority) -> ListCurrentPricesResponse:
    verifier = await authority.caller(Role.VERIFIER)
    response: ListCurrentPricesResponse = await verifier(ListCurrentPricesRequest())
    return response


async def listed(root: Api) -> list[Price]:
    return list((await root(ListPricesRequest())).prices)


async def test_how_many_were_added(root: Api) -> None:
    """A row that is there already, or is named twice, counts once."""
    assert (await set_prices(root, row(START), row(START), row(START + DAY))).added == 2
    assert (await set_prices(root, row(START), row(START + 2 * DAY))).added == 1
    assert (await set_prices(root, row(START))).added == 0


async def test_a_price_is_there_when_it_returns(authority: Authority, root: Api) -> None:
    """With an id and a time, for whoever bills and whoever spends; verifiers hear of it."""
    response = await set_prices(root, row(), row(START + DAY, Rates(request=7), model="*"))

    first, second = response.prices
    assert first.id.startswith("price_")
    assert first == row(START, id=first.id)
    assert second == row(START + DAY, Rates(request=7), model="*", id=second.id)
    assert await listed(root) == [second, first]
    told = await current(authority)
    assert sorted(told.prices, key=lambda one: one.model) == [second, first]
    assert (told.epoch, told.revision) == (1, 1)
    assert response.receipt.revision == 1
    assert message_of(price_of(first)) == first


async def test_a_repeat_is_the_same_row(root: Api, clock: ManualClock) -> None:
    """Also when its time is over by now, and without a time: then the row that counts is meant."""
    rows = row(), row(START + DAY, Rates(request=7))
    first = await set_prices(root, *rows)
    clock.time += timedelta(hours=1)
    again = await set_prices(root, *rows)
    clock.time += 2 * DAY
    late = await set_prices(root, rows[1])

    assert again.prices == first.prices
    assert late.prices == first.prices[1:]
    assert again.receipt.revision == late.receipt.revision == first.receipt.revision
    back = await set_prices(root, rows[0])
    assert back.prices[0].effective_time == timestamp(START + timedelta(hours=1) + 2 * DAY)
    assert len(await listed(root)) == 3


async def test_other_rates_are_another_row(root: Api) -> None:
    """At the time of one that is there they are refused; nothing of that call is set."""
    [known] = (await set_prices(root, row(START + DAY))).prices
    other = row(START + DAY, Rates(input=1, output=1))

    refused = await refusal(set_prices(root, row(), other))

    assert (refused.reason, refused.code) == ("PRICE_EXISTS", grpc.StatusCode.ALREADY_EXISTS)
    assert refused.metadata == {"index": "1", "price_id": known.id}
    assert await reason(set_prices(root, row(), row(rates=other.rates))) == "PRICE_EXISTS"
    assert await listed(root) == [known]


async def test_two_rows_that_are_one(root: Api) -> None:
    response = await set_prices(root, row(), row())

    assert response.prices[0] == response.prices[1]
    assert await listed(root) == [response.prices[0]]


async def test_nothing_is_set_in_the_past(root: Api) -> None:
    """But a minute is allowed, since clocks differ."""
    with invalid_field("prices[1].effective_time"):
        await set_prices(root, row(), row(START - CLOCKS - timedelta(microseconds=1)))
    with invalid_field("prices[0].effective_time"):
        await set_prices(root, row(START + 3654 * DAY))
    assert await listed(root) == []
    await set_prices(root, row(START - CLOCKS))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (row(model=""), "model"),
        (row(model="a*b"), "model"),
        (row(path="/v1/\n"), "path"),
        (row(path="p" * 257), "path"),
        (row(rates=Rates()), "rates"),
        (row(rates=Rates(input=1)), "rates"),
        (row(rates=Rates(request=-1)), "rates"),
        (row(rates=Rates(request=10**17 + 1)), "rates"),
    ],
)
async def test_a_row_that_breaks_a_limit(root: Api, wrong: Price, field: str) -> None:
    with invalid_field(f"prices[1].{field}"):
        await set_prices(root, row(), wrong)
    assert await listed(root) == []


async def test_how_many(root: Api, authority: Authority, clock: ManualClock) -> None:
    """500 at once, 10,000 that count: those that others took over from are none."""
    for count in (0, AT_ONCE + 1):
        with invalid_field("prices"):
            await set_prices(root, *(row(model=str(number)) for number in range(count)))
    for hundred in range(MOST // AT_ONCE):
        names = [f"{hundred} {number}" for number in range(AT_ONCE)]
        await set_prices(root, *(row(model=name) for name in names))

    with invalid_field("prices"):
        await set_prices(root, row())

    assert len((await current(authority)).prices) == MOST
    clock.time += DAY
    await set_prices(root, row(rates=Rates(request=1), model="0 0"))
    assert len((await current(authority)).prices) == MOST + 1
    clock.time += 2 * CLOCKS
    assert len((await current(authority)).prices) == MOST


async def test_a_clock_that_is_behind_still_has_a_price(
    root: Api, authority: Authority, clock: ManualClock
) -> None:
    """For a minute the table has the row before, too."""
    await set_prices(root, row())
    clock.time += DAY
    await set_prices(root, row(rates=Rates(request=1)))

    table = PriceTable(map(price_of, (await current(authority)).prices))

    before, after = (
        table.find("gpt-5", "/v1/x", clock.time - difference)
        for difference in (CLOCKS / 2, timedelta())
    )
    assert before is not None
    assert (before.rates.input, before.effective_time) == (RATES.input, START)
    assert after is not None
    assert after.rates.request == 1


async def test_calls_at_the_same_time(root: Api) -> None:
    """One of them sets the row, and all of them get it."""
    responses = await asyncio.gather(*(set_prices(root, row()) for _ in range(8)))

    assert len({response.prices[0].id for response in responses}) == 1
    assert len(await listed(root)) == 1


async def test_pages(root: Api) -> None:
    await set_prices(root, *(row(START + day * DAY) for day in range(3)))

    first = await root(ListPricesRequest(page_size=2))
    second = await root(ListPricesRequest(page_size=2, page_token=first.next_page_token))

    times = [price.effective_time for price in (*first.prices, *second.prices)]
    assert times == [timestamp(START + day * DAY) for day in (2, 1, 0)]
    assert not second.next_page_token
    assert await reason(root(ListPricesRequest(page_token="x"))) == "PAGE_TOKEN_INVALID"


async def test_who_may_set_them(authority: Authority, workspace: str) -> None:
    """Nobody who is bound to workspaces: prices are everybody's. But they may read them."""
    bound = await authority.caller(Role.BILLER, workspace_ids=[workspace])

    refused = await refusal(set_prices(bound, row()))

    assert refused.reason == "ROLE_MISSING"
    assert refused.code == grpc.StatusCode.PERMISSION_DENIED
    assert await listed(bound) == []
    await set_prices(await authority.caller(Role.BILLER), row())
    assert len(await listed(bound)) == 1


async def test_each_row_is_audited(root: Api) -> None:
    """With all of it, so that a restore can set it again; a repeat is no fact."""
    rows = row(), row(START + DAY, Rates(request=7))
    [first, second] = (await set_prices(root, *rows)).prices
    await set_prices(root, *rows)

    audited = (await root(ListAuditEntriesRequest(subject="prices"))).entries

    assert [(Action.Name(one.fact), one.revision) for one in audited] == [
        ("ACTION_PRICE_SET", 1)
    ] * 2
    assert [dict(one.details) for one in audited] == [
        {
            "price": second.id,
            "model": "gpt-5",
            "path": "/v1/*",
            "effective_time": "2030-01-03T03:04:05.678901+00:00",
            "request": "0.000000007",
        },
        {
            "price": first.id,
            "model": "gpt-5",
            "path": "/v1/*",
            "effective_time": "2030-01-02T03:04:05.678901+00:00",
            "input": "2.5",
            "output": "10",
        },
    ]
