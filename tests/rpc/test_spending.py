"""Spending credits over the wire: what a verifier says of charges and slices, and what it is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Role
from keyauthority.server import Pace
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    LedgerUse,
    ListEntriesRequest,
    RefundRequest,
    SummarizeUsageRequest,
    TopUpRequest,
    UsageGroup,
    UsageSum,
    VerifyLedgerRequest,
)
from keyauthority.v1.spending_service_pb2 import (
    Charge,
    ChargeState,
    GetAvailableRequest,
    HoldPart,
    SettleRequest,
    SettleResponse,
    SliceCall,
    SliceClosing,
    SliceWord,
)
from keyauthority.v1.verification_service_pb2 import LeaveRequest
from tests.conformance.records import ManualClock
from tests.rpc.parts import (
    Api,
    Authority,
    LeaseClock,
    eventually,
    invalid_field,
    issue,
    reason,
    refusal,
)
from tests.rpc.syncing import acknowledging, join, joined, started

ENTERED = ChargeState.CHARGE_STATE_ENTERED
KNOWN = ChargeState.CHARGE_STATE_KNOWN
REFUSED = ChargeState.CHARGE_STATE_REFUSED


class Spending:
    """A verifier with a session, a workspace with 100 nano-credits, and one key of it."""

    def __init__(
        self, root: Api, api: Api, session_id: str, workspace_id: str, key_id: str
    ) -> None:
        self.root = root
        self.api = api
        self.session_id = session_id
        self.workspace_id = workspace_id
        self.key_id = key_id

    async def settle(self, **said: Any) -> SettleResponse:
        response: SettleResponse = await self.api(
            SettleRequest(**{"session_id": self.session_id, **said})
        )
        return response

    def asking(self, want: int, need: int = 0, *, number: int = 1, sequence: int = 1) -> SliceCall:
        return SliceCall(
            workspace_id=self.workspace_id,
            number=number,
            sequence=sequence,
            want_nano_credits=want,
            need_nano_credits=need,
        )

    def charge(self, cost: int, held: int = 0, **fields: Any) -> Charge:
        hold = HoldPart(session_id=self.session_id, number=1, nano_credits=held)
        named = {"workspace_id": self.workspace_id, "key_id": self.key_id, "reference": "r"}
        return Charge(cost_nano_credits=cost, holds=[hold] if held else [], **{**named, **fields})

    async def balance(self) -> tuple[int, int]:
        """The balance and what of it stands in slices, in a ledger that adds up."""
        proof = await self.root(VerifyLedgerRequest(workspace_id=self.workspace_id))
        assert list(proof.faults) == []
        return proof.balance.balance_nano_credits, proof.balance.escrowed_nano_credits


@pytest.fixture
def pace() -> Pace:
    return Pace(releasing=0.01)


@pytest.fixture
async def spending(authority: Authority, workspace: str) -> Spending:
    root, api = authority.root, await authority.caller(Role.VERIFIER)
    purchase: dict[str, Any] = {"purchase_id": "p", "amount_nano_credits": 100}
    await root(TopUpRequest(workspace_id=workspace, **purchase))
    key_id = (await issue(root, workspace)).key.id
    return Spending(root, api, (await join(api)).session_id, workspace, key_id)


async def test_a_verifier_may_tell_what_is_available(spending: Spending) -> None:
    """What stands in no slice, below zero of a workspace that owes; of no workspace that is not there."""

    async def available(workspace_id: str = spending.workspace_id) -> int:
        answer = await spending.api(GetAvailableRequest(workspace_id=workspace_id))
        return int(answer.available_nano_credits)

    assert await available() == 100
    await spending.settle(slices=[spending.asking(40)])
    assert await available() == 60
    await spending.settle(charges=[spending.charge(150)])
    assert await available() == -90
    assert await reason(available("ws_missing")) == "WORKSPACE_NOT_FOUND"


async def test_a_request_is_paid_for(spending: Spending) -> None:
    """Credits are set apart, a request is held for, and its charge is entered, whole."""
    answer = await spending.settle(slices=[spending.asking(40)])
    [granted] = answer.slices
    assert (granted.word, granted.granted_nano_credits) == (SliceWord.SLICE_WORD_GRANTED, 40)
    assert not answer.session_over
    assert answer.epoch == (await joined(spending.api)).epoch
    assert await spending.balance() == (100, 40)

    told: dict[str, Any] = {
        "model": "gpt-5",
        "path": "/v1/chat/completions",
        "request_id": "req-1",
        "counts": {"input": 11, "output": 7},
        "price_id": "price_1",
        "estimated": True,
        "status": 200,
    }
    charge = spending.charge(7, 10, **told)
    [state] = (await spending.settle(charges=[charge])).charges
    assert state.state == ENTERED
    assert await spending.balance() == (93, 33)
    told_of = await spending.root(GetBalanceRequest(workspace_id=spending.workspace_id))
    assert told_of.balance.available_nano_credits == 60
    [entry, _] = (
        await spending.root(ListEntriesRequest(workspace_id=spending.workspace_id))
    ).entries
    assert entry.use == LedgerUse(
        key_id=spending.key_id, held_nano_credits=10, session_id=spending.session_id, **told
    )
    assert (entry.caller_id, entry.amount_nano_credits) == (spending.api.caller_id, -7)


async def test_what_was_used_is_summed_up(spending: Spending) -> None:
    """Charges less what was refunded of them, by the groups that are asked for."""
    told: dict[str, Any] = {"model": "gpt-5", "counts": {"input": 11, "output": 7}}
    charges = [
        spending.charge(20, reference="a", **told),
        spending.charge(3, reference="b", model="gpt-4", estimated=True),
    ]
    await spending.settle(charges=charges)
    refund: dict[str, Any] = {"subject": "a", "amount_nano_credits": 5}
    await spending.root(RefundRequest(workspace_id=spending.workspace_id, **refund))
    groups: Any = [UsageGroup.USAGE_GROUP_DAY, UsageGroup.USAGE_GROUP_MODEL]

    response = await spending.root(
        SummarizeUsageRequest(
            workspace_id=spending.workspace_id, group_by=groups, time_zone="Asia/Seoul"
        )
    )

    assert list(response.sums) == [
        UsageSum(day="2030-01-02", model="gpt-4", cost_nano_credits=3, charges=1, estimated=1),
        UsageSum(
            day="2030-01-02",
            model="gpt-5",
            cost_nano_credits=15,
            charges=1,
            counts={"input": 11, "output": 7},
            refunded_nano_credits=5,
        ),
    ]
    assert not response.truncated


async def test_a_lost_answer(spending: Spending) -> None:
    """The same call again: the same answer, and nothing happens twice."""
    call: dict[str, Any] = {
        "slices": [spending.asking(40)],
        "charges": [spending.charge(5)],
    }
    first, again = await spending.settle(**call), await spending.settle(**call)

    assert first.slices == again.slices
    assert [one.charges[0].state for one in (first, again)] == [ENTERED, KNOWN]
    assert await spending.balance() == (95, 40)


async def test_closing(spending: Spending) -> None:
    await spending.settle(slices=[spending.asking(40)])
    closing = SliceClosing(
        workspace_id=spending.workspace_id,
        session_id=spending.session_id,
        number=1,
        keep_nano_credits=15,
    )
    await spending.settle(session_id="", closings=[closing])

    assert await spending.balance() == (100, 15)
    [passed] = (await spending.settle(slices=[spending.asking(9, sequence=2)])).slices
    assert passed.word == SliceWord.SLICE_WORD_PASSED


async def test_an_empty_slice_shares_nothing(spending: Spending) -> None:
    """Of what is left, a verifier gets the same as if those that have nothing were not there."""
    other = await join(spending.api)
    await spending.settle(session_id=other.session_id, slices=[spending.asking(0)])
    [granted] = (await spending.settle(slices=[spending.asking(100)])).slices
    assert granted.granted_nano_credits == 50


async def test_a_verifier_that_left(spending: Spending, clock: ManualClock) -> None:
    """It is granted nothing; what it had goes back by itself, and its charge counts all the same."""
    await spending.settle(slices=[spending.asking(40)])
    await spending.api(LeaveRequest(session_id=spending.session_id))

    answer = await spending.settle(slices=[spending.asking(9, sequence=2)])
    assert answer.session_over
    assert await spending.balance() == (100, 40)

    async def gone() -> bool:
        clock.time += timedelta(minutes=1)
        return await spending.balance() == (100, 0)

    await eventually(gone)
    assert (await spending.settle(charges=[spending.charge(30, 35)])).charges[0].state == ENTERED
    assert await spending.balance() == (70, 0)


async def test_a_recall_reaches_verifiers_at_once(authority: Authority, spending: Spending) -> None:
    """The held poll of whoever has what another needs is answered; nobody waits for it."""
    other = await authority.caller(Role.VERIFIER)
    session = await joined(other)
    taking = SliceCall(
        workspace_id=spending.workspace_id, number=1, sequence=1, need_nano_credits=100
    )
    await other(SettleRequest(session_id=session.session_id, slices=[taking]))
    poll = started(other(acknowledging(session, timedelta(seconds=10))))

    [busy] = (await spending.settle(slices=[spending.asking(9, 9)])).slices

    assert busy.word == SliceWord.SLICE_WORD_BUSY
    async with asyncio.timeout(5):
        assert list((await poll).subjects) == [f"{spending.workspace_id}/credits"]


async def test_it_leaves_no_entry_in_the_audit(spending: Spending) -> None:
    """The ledger is its record."""
    before = (await spending.root(ListAuditEntriesRequest())).entries[0].id
    await spending.settle(slices=[spending.asking(40)], charges=[spending.charge(200)])
    assert (await spending.root(ListAuditEntriesRequest())).entries[0].id == before


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"slices": [SliceCall(workspace_id="w", number=0, sequence=1)]}, "slices[0]"),
        ({"slices": [SliceCall(workspace_id="w", number=1, sequence=0)]}, "slices[0]"),
        (
            {"slices": [SliceCall(number=1, sequence=1, want_nano_credits=-1)]},
            "slices[0]",
        ),
        ({"closings": [SliceClosing(session_id="s", number=-1)]}, "closings[0]"),
        ({"closings": [SliceClosing(number=1, keep_nano_credits=-1)]}, "closings[0]"),
        ({"charges": [Charge(reference="r")] * 501}, "charges"),
        ({"session_id": "", "slices": [SliceCall(number=1, sequence=1)]}, "session_id"),
    ],
)
async def test_what_no_verifier_can_mean(
    spending: Spending, said: dict[str, Any], field: str
) -> None:
    with invalid_field(field):
        await spending.settle(**said)
    assert await spending.balance() == (100, 0)


@pytest.mark.parametrize(
    "said",
    [
        {"cost_nano_credits": -1},
        {"reference": ""},
        {
            "holds": [
                HoldPart(session_id="s", number=1, nano_credits=2**63 - 1),
                HoldPart(session_id="s", number=2, nano_credits=2**63 - 1),
            ]
        },
    ],
)
async def test_a_charge_that_no_verifier_can_mean(spending: Spending, said: Any) -> None:
    """It is refused; what comes with it counts."""
    wrong = spending.charge(1)
    name: Any
    for name in said:
        wrong.ClearField(name)
    wrong.MergeFrom(Charge(**said))

    response = await spending.settle(charges=[wrong, spending.charge(2, reference="s")])

    assert [one.state for one in response.charges] == [REFUSED, ENTERED]
    assert await spending.balance() == (98, 0)


async def test_what_clients_choose_is_cut(spending: Spending) -> None:
    """However long a model, a path or a request's id is, its request is charged."""
    chosen: Any = dict.fromkeys(("model", "path", "request_id"), "x" * 10000)

    response = await spending.settle(charges=[spending.charge(2, **chosen)])

    assert [one.state for one in response.charges] == [ENTERED]
    listed = await spending.root(ListEntriesRequest(workspace_id=spending.workspace_id))
    use = listed.entries[0].use
    assert (len(use.model), len(use.path), len(use.request_id)) == (256, 256, 128)


async def test_a_model_may_be_named_anything(spending: Spending) -> None:
    """Clients name it: what can't be printed is replaced, and its charge counts."""
    said = spending.charge(5, model="a\x1b[31m\0b", path="/\n", request_id="\u202e")
    assert (await spending.settle(charges=[said])).charges[0].state == ENTERED
    assert (await spending.settle(charges=[said])).charges[0].state == KNOWN
    [entry, _] = (
        await spending.root(ListEntriesRequest(workspace_id=spending.workspace_id))
    ).entries
    assert (entry.use.model, entry.use.path) == ("a\ufffd[31m\ufffdb", "/\ufffd")


async def test_metrics(spending: Spending, registry: CollectorRegistry) -> None:
    await spending.settle(slices=[spending.asking(40)])
    await spending.settle(charges=[spending.charge(15, 10, estimated=True)] * 2)
    await spending.settle(charges=[spending.charge(16, 10, estimated=True)])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"keyauthority_{name}_total", labels)

    assert value("charges", state="ENTERED") == 1
    assert value("charges", state="KNOWN") == 2
    assert value("charges_differing") == 1
    assert value("charges_estimated") == 1
    assert value("slice_answers", word="GRANTED") == 1
    for kind, amount in {"charged": 15, "granted": 40, "over": 5, "late": 0, "cut": 0}.items():
        assert value("nano_credits", kind=kind) == amount


async def test_no_other_role_spends(authority: Authority, spending: Spending) -> None:
    biller = await authority.caller(Role.BILLER, Role.ISSUER, Role.ADMIN)
    assert await reason(biller(SettleRequest())) == "ROLE_MISSING"


@pytest.mark.parametrize("settings_fields", [{"max_charges_per_second": 10}])
async def test_a_caller_brings_no_more_charges_a_second_than_the_setting_says(
    authority: Authority, spending: Spending, lease_clock: LeaseClock
) -> None:
    """Beyond it none of the call counts, and the answer says when it may come again."""

    async def bring(*references: str) -> list[ChargeState.ValueType]:
        charges = [spending.charge(1, reference=one) for one in references]
        return [one.state for one in (await spending.settle(charges=charges)).charges]

    many = [f"charge {number}" for number in range(30)]
    assert await bring(*many) == [ENTERED] * 30
    refused = await refusal(bring("another"))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_CHARGES",
    )
    assert refused.metadata["charges_per_second"] == "10"
    assert 0 < float(refused.metadata["retry_after"]) <= 2
    assert await spending.balance() == (70, 0)

    [granted] = (await spending.settle(slices=[spending.asking(30)])).slices
    assert granted.granted_nano_credits == 30
    other = Spending(
        spending.root,
        await authority.caller(Role.VERIFIER),
        "",
        spending.workspace_id,
        spending.key_id,
    )
    [known] = (await other.settle(charges=[spending.charge(1, reference=many[0])])).charges
    assert known.state == KNOWN

    lease_clock.ahead += float(refused.metadata["retry_after"])
    assert await bring("another") == [ENTERED]
    assert await spending.balance() == (69, 30)
