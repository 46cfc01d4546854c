"""Charges that an upstream which meters itself brings to the ledger."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from keyauthority.domain.callers import Role
from keyauthority.v1.ledger_service_pb2 import (
    LedgerUse,
    ListEntriesRequest,
    RecordChargesRequest,
    RecordChargesResponse,
    RecordedCharge,
    RecordedChargeState,
    SetPricesRequest,
    SummarizeUsageRequest,
    TopUpRequest,
    UsageGroup,
    VerifyLedgerRequest,
)
from keyauthority.v1.price_pb2 import Price, Rates
from keyauthority.v1.spending_service_pb2 import Charge, SettleRequest, SliceCall
from keyauthority.v1.wire import timestamp
from tests.conformance.records import DAY, SECOND, START, ManualClock
from tests.rpc.parts import Api, Authority, invalid_field, issue, reason
from tests.rpc.syncing import acknowledging, joined, spreads, started

MINUTE = timedelta(minutes=1)


class Upstream:
    """Bills a workspace that has 100 nano-credits, and one key."""

    def __init__(self, api: Api, root: Api, workspace_id: str, key_id: str) -> None:
        self.api = api
        self.root = root
        self.workspace_id = workspace_id
        self.key_id = key_id

    def charge(self, cost: int | None, reference: str = "r", **fields: Any) -> RecordedCharge:
        named = {"workspace_id": self.workspace_id, "key_id": self.key_id, "model": "gpt-5"}
        return RecordedCharge(reference=reference, cost_nano_credits=cost, **{**named, **fields})

    async def record(self, *charges: RecordedCharge) -> list[tuple[str, int]]:
        """The state and the cost of each."""
        response: RecordChargesResponse = await self.api(RecordChargesRequest(charges=charges))
        assert response.receipt.HasField("waited")
        prefix = "RECORDED_CHARGE_STATE_"
        return [
            (RecordedChargeState.Name(one.state).removeprefix(prefix), one.cost_nano_credits)
            for one in response.charges
        ]

    async def balance(self) -> int:
        proof = await self.root(VerifyLedgerRequest(workspace_id=self.workspace_id))
        assert list(proof.faults) == []
        amount: int = proof.balance.balance_nano_credits
        return amount


@pytest.fixture
async def upstream(authority: Authority, workspace: str) -> Upstream:
    root, api = authority.root, await authority.caller(Role.BILLER)
    purchase: dict[str, Any] = {"purchase_id": "p", "amount_nano_credits": 100}
    await root(TopUpRequest(workspace_id=workspace, **purchase))
    return Upstream(api, root, workspace, (await issue(root, workspace)).key.id)


async def test_a_charge_is_entered_once(upstream: Upstream) -> None:
    """Whole, and by whom."""
    told: dict[str, Any] = {
        "path": "/v1/x",
        "request_id": "req",
        "counts": {"input": 3},
        "status": 200,
    }
    charge = upstream.charge(7, **told)
    assert await upstream.record(charge, charge) == [("ENTERED", 7), ("KNOWN", 7)]
    assert await upstream.record(charge) == [("KNOWN", 7)]

    assert await upstream.balance() == 93
    listed = await upstream.root(ListEntriesRequest(workspace_id=upstream.workspace_id))
    assert listed.entries[0].use == LedgerUse(key_id=upstream.key_id, model="gpt-5", **told)
    assert listed.entries[0].caller_id == upstream.api.caller_id


async def test_a_reference_is_of_one_body(upstream: Upstream) -> None:
    """Also of entries of other kinds, and of what a verifier charged."""
    await upstream.record(upstream.charge(7))
    held = Charge(
        reference="v", workspace_id=upstream.workspace_id, key_id=upstream.key_id, price_id="p"
    )
    await upstream.root(SettleRequest(charges=[held]))

    assert await upstream.record(
        upstream.charge(8),
        upstream.charge(7, model="gpt-4"),
        upstream.charge(100, "p"),
        upstream.charge(1, "v"),
        upstream.charge(2, "s"),
    ) == [*[("REFERENCE_REUSED", 0)] * 4, ("ENTERED", 2)]
    assert await upstream.balance() == 91


async def test_a_charge_without_a_cost_goes_by_the_price(upstream: Upstream) -> None:
    """Repeated after the price has changed, it is known, with what it cost then."""
    row = Price(model="gpt-*", path="/v1/*", rates=Rates(input=2_000_000, output=3_000_000))
    await upstream.root(SetPricesRequest(prices=[row]))
    counts = {"input": 5, "output": 1}
    charge = upstream.charge(None, path="/v1/x", counts=counts)

    assert await upstream.record(charge) == [("ENTERED", 13)]
    dearer = Price(model="gpt-5", path="/v1/*", rates=Rates(request=50))
    await upstream.root(SetPricesRequest(prices=[dearer]))
    assert await upstream.record(charge) == [("KNOWN", 13)]
    assert await upstream.record(
        upstream.charge(None, "a", path="/v1/x", counts=counts),
        upstream.charge(None, "b", path="/v2/x", counts=counts),
        upstream.charge(None, "c", path="/v1/x", counts={"thought": 1}),
        upstream.charge(None, "d", path="/v1/x", model="gpt-4", counts={"images": 1}),
        upstream.charge(0, "e", path="/v2/x"),
    ) == [("ENTERED", 50), *[("UNPRICED", 0)] * 3, ("ENTERED", 0)]
    assert await upstream.balance() == 100 - 13 - 50


async def test_without_a_count_nothing_is_free(upstream: Upstream) -> None:
    """Absent is not zero: only what each request costs can be charged then."""
    for model, rates in (
        ("tokens", Rates(input=10**9, output=10**9)),
        ("images", Rates(image=10)),
        ("both", Rates(input=10**9, output=10**9, request=7)),
        ("gift", Rates(request=0)),
    ):
        await upstream.root(SetPricesRequest(prices=[Price(model=model, path="*", rates=rates)]))

    assert await upstream.record(
        upstream.charge(None, "a", model="tokens"),
        upstream.charge(None, "b", model="images"),
        upstream.charge(None, "c", model="both"),
        upstream.charge(None, "d", model="gift"),
        upstream.charge(None, "e", model="tokens", counts={"input": 0, "output": 0}),
    ) == [("UNPRICED", 0), ("UNPRICED", 0), ("ENTERED", 7), ("ENTERED", 0), ("ENTERED", 0)]
    assert await upstream.balance() == 93


async def test_a_charge_that_comes_late(upstream: Upstream, clock: ManualClock) -> None:
    """It has the price and the day of its request, for three days; and a repeat is known for ever."""
    counts = {"input": 1}
    for rate in (2, 3):
        row = Price(model="*", path="*", rates=Rates(input=rate * 10**6, output=0))
        await upstream.root(SetPricesRequest(prices=[row]))
        clock.time += DAY

    def charge(reference: str, time: datetime | None) -> RecordedCharge:
        return upstream.charge(None, reference, counts=counts, time=timestamp(time))

    late = charge("late", START + SECOND)
    assert await upstream.record(
        late, charge("soon", START + 2 * DAY + MINUTE), charge("now", None)
    ) == [("ENTERED", 2), ("ENTERED", 3), ("ENTERED", 3)]
    listed = await upstream.root(ListEntriesRequest(workspace_id=upstream.workspace_id))
    assert [one.time for one in listed.entries][:3] == [
        timestamp(time) for time in (START + 2 * DAY, START + 2 * DAY + MINUTE, START + SECOND)
    ]
    days: Any = [UsageGroup.USAGE_GROUP_DAY]
    usage = SummarizeUsageRequest(workspace_id=upstream.workspace_id, group_by=days)
    assert [(one.day, one.charges) for one in (await upstream.root(usage)).sums][:1] == [
        ("2030-01-02", 1)
    ]

    clock.time += DAY + 2 * SECOND
    assert await upstream.record(
        late,
        charge("late", START + 2 * SECOND),
        charge("late", None),
        charge("too late", START + SECOND),
        charge("too soon", clock.time + MINUTE + SECOND),
    ) == [("KNOWN", 2), ("REFERENCE_REUSED", 0), ("KNOWN", 2), *[("TIME_OUT_OF_RANGE", 0)] * 2]
    assert await upstream.balance() == 92


async def test_whose_charges_are_taken(authority: Authority, upstream: Upstream) -> None:
    """For keys of the workspace, in workspaces that the biller sees."""
    elsewhere = await authority.workspace("other")
    other = (await issue(authority.root, elsewhere)).key.id
    wrong = [
        upstream.charge(1, "a", key_id=other),
        upstream.charge(1, "b", key_id=""),
        upstream.charge(1, "c", workspace_id="ws_none"),
    ]
    assert await upstream.record(*wrong) == [("UNKNOWN_KEY", 0)] * 3

    bound = await authority.caller(Role.BILLER, workspace_ids=[elsewhere])
    upstream.api = bound
    assert await upstream.record(
        upstream.charge(1), upstream.charge(1, "x", workspace_id=elsewhere, key_id=other)
    ) == [("UNKNOWN_KEY", 0), ("ENTERED", 1)]
    assert await upstream.balance() == 100


async def test_it_is_in_force_when_it_returns(authority: Authority, upstream: Upstream) -> None:
    """What is taken beyond what is available was set apart: who has it must hear first."""
    verifier = await authority.caller(Role.VERIFIER)
    session = await joined(verifier)
    taking = SliceCall(workspace_id=upstream.workspace_id, number=1, sequence=1)
    taking.need_nano_credits = 90
    await verifier(SettleRequest(session_id=session.session_id, slices=[taking]))

    assert await upstream.record(upstream.charge(10)) == [("ENTERED", 10)]
    recording = started(upstream.record(upstream.charge(1, "beyond")))
    await spreads(recording)
    told = await verifier(acknowledging(session))
    assert list(told.subjects) == [f"{upstream.workspace_id}/credits"]
    await verifier(acknowledging(told))

    async with asyncio.timeout(5):
        assert await recording == [("ENTERED", 1)]
    assert await upstream.balance() == 89


async def test_a_balance_has_bounds(upstream: Upstream) -> None:
    whole = [upstream.charge(10**17, str(number)) for number in range(48)]
    states = await upstream.record(*whole, upstream.charge(0, "last"))

    assert ("OUT_OF_RANGE", 0) in states
    assert states[-1] == ("ENTERED", 0)
    assert await upstream.balance() >= -(2**62)


async def test_a_charge_that_breaks_a_limit(upstream: Upstream) -> None:
    for charge, field in (
        (upstream.charge(-1), "charges[0].cost_nano_credits"),
        (upstream.charge(1, ""), "charges[0].reference"),
        (upstream.charge(1, counts={"input": -1}), "charges[0].counts"),
        (upstream.charge(1, model="x" * 257), "charges[0].model"),
    ):
        with invalid_field(field):
            await upstream.record(charge, upstream.charge(1, "other"))
    with invalid_field("charges"):
        await upstream.record(*[upstream.charge(1)] * 501)
    assert await upstream.balance() == 100


async def test_no_verifier_records(authority: Authority) -> None:
    verifier = await authority.caller(Role.VERIFIER)
    assert await reason(verifier(RecordChargesRequest())) == "ROLE_MISSING"
