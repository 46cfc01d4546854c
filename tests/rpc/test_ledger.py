"""Topping up, adjusting and refunding credits, and reading the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest

from keyauthority.domain.callers import Role
from keyauthority.v1.audit_service_pb2 import Action, ListAuditEntriesRequest
from keyauthority.v1.ledger_service_pb2 import (
    AdjustRequest,
    Balance,
    EntryKind,
    GetBalanceRequest,
    LedgerEntry,
    LedgerTerms,
    ListEntriesRequest,
    RefundRequest,
    SummarizeUsageRequest,
    SummarizeUsageResponse,
    TopUpRequest,
    UsageGroup,
    VerifyLedgerRequest,
)
from keyauthority.v1.wire import duration, timestamp
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, Authority, invalid_field, reason, refusal

DAY = timedelta(days=1)
CREDIT = 10**9


async def top_up(root: Api, workspace_id: str, amount: int = 10, **fields: Any) -> Any:
    request = TopUpRequest(
        workspace_id=workspace_id,
        amount_nano_credits=amount * CREDIT,
        **{"purchase_id": "purchase 1", **fields},
    )
    return await root(request)


async def adjust(root: Api, workspace_id: str, amount: int, **fields: Any) -> Any:
    request = AdjustRequest(
        workspace_id=workspace_id,
        amount_nano_credits=amount * CREDIT,
        **{"reason": "a mistake", **fields},
    )
    return await root(request)


async def refund(root: Api, workspace_id: str, **fields: Any) -> Any:
    return await root(RefundRequest(workspace_id=workspace_id, **fields))


async def balance(root: Api, workspace_id: str) -> float:
    response = await root(GetBalanceRequest(workspace_id=workspace_id))
    assert response.balance.escrowed_nano_credits == 0
    assert response.balance.available_nano_credits == response.balance.balance_nano_credits
    return float(response.balance.balance_nano_credits / CREDIT)


async def entries(root: Api, workspace_id: str, **filters: Any) -> list[LedgerEntry]:
    response = await root(ListEntriesRequest(workspace_id=workspace_id, **filters))
    return list(response.entries)


async def adds_up(root: Api, workspace_id: str) -> int:
    proof = await root(VerifyLedgerRequest(workspace_id=workspace_id))
    assert list(proof.faults) == []
    return int(proof.entries)


async def test_a_top_up_is_there_when_it_returns(root: Api, workspace: str) -> None:
    """As an entry that says who, when and what for; the receipt is that of every change."""
    response = await top_up(root, workspace, note="invoice 17")

    assert response.balance == Balance(
        balance_nano_credits=10 * CREDIT, available_nano_credits=10 * CREDIT
    )
    assert response.receipt.HasField("waited")
    entry = response.entry
    assert entry == LedgerEntry(
        workspace_id=workspace,
        number=1,
        kind=EntryKind.ENTRY_KIND_GRANT,
        amount_nano_credits=10 * CREDIT,
        balance_nano_credits=10 * CREDIT,
        reference="purchase 1",
        time=timestamp(START),
        subject=entry.subject,
        note="invoice 17",
        caller_id=entry.caller_id,
        caller_name="root",
        terms=LedgerTerms(priority=50),
    )
    assert entry.subject.startswith("grant_")
    assert await entries(root, workspace) == [entry]
    assert await balance(root, workspace) == 10
    assert await adds_up(root, workspace) == 1


async def test_a_purchase_counts_once(root: Api, workspace: str, clock: ManualClock) -> None:
    """However often it is sent, and whenever; two purchases are two."""
    terms: dict[str, Any] = {
        "expire_time": timestamp(START + DAY),
        "priority": 3,
        "promotional": True,
    }
    first = await top_up(root, workspace, **terms)
    clock.time += 2 * DAY
    again = await top_up(root, workspace, **terms)

    assert again.entry == first.entry
    # What it brought has expired meanwhile.
    assert await balance(root, workspace) == 0
    await top_up(root, workspace, purchase_id="purchase 2")
    assert await balance(root, workspace) == 10
    assert await adds_up(root, workspace) == 3


async def test_a_lifetime_counts_from_the_first_call(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """So a repeat says the same, whenever it comes; the moment itself may be named too."""
    first = await top_up(root, workspace, ttl=duration(2 * DAY))
    clock.time += DAY
    again = await top_up(root, workspace, ttl=duration(2 * DAY))
    named = await top_up(root, workspace, expire_time=timestamp(START + 2 * DAY))

    assert again.entry == named.entry == first.entry
    assert await reason(top_up(root, workspace, ttl=duration(3 * DAY))) == "REFERENCE_REUSED"
    assert await balance(root, workspace) == 10
    clock.time += DAY
    assert await balance(root, workspace) == 0


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 11},
        {"priority": 51},
        {"promotional": True},
        {"note": "another"},
        {"expire_time": timestamp(START + DAY)},
    ],
)
async def test_a_purchase_has_one_set_of_terms(
    root: Api, workspace: str, other: dict[str, Any]
) -> None:
    await top_up(root, workspace)

    refused = await refusal(top_up(root, workspace, **other))

    assert (refused.reason, refused.code) == ("REFERENCE_REUSED", grpc.StatusCode.ALREADY_EXISTS)
    assert refused.metadata["reference"] == "purchase 1"
    assert await balance(root, workspace) == 10


async def test_references_are_of_one_workspace(root: Api, workspace: str) -> None:
    other = (await root(CreateWorkspaceRequest(name="other"))).workspace.id
    await top_up(root, workspace)
    await top_up(root, other, amount=3)

    assert (await balance(root, workspace), await balance(root, other)) == (10, 3)


async def test_an_adjustment_goes_either_way(root: Api, workspace: str) -> None:
    """Below zero, too; the next top-up pays the debt."""
    await adjust(root, workspace, 2)
    down = await adjust(root, workspace, -5)

    assert down.entry.amount_nano_credits == -5 * CREDIT
    assert down.entry.note == "a mistake"
    assert await balance(root, workspace) == -3
    await top_up(root, workspace)
    assert await balance(root, workspace) == 7
    assert await adds_up(root, workspace) == 3


async def test_a_reduction_is_a_change_that_verifiers_hear_of(root: Api, workspace: str) -> None:
    """It has a revision of its own; what adds credits has none."""
    before = (await adjust(root, workspace, 9)).receipt.revision
    after = (await adjust(root, workspace, -9)).receipt.revision

    assert after == before + 1
    assert (await top_up(root, workspace)).receipt.revision == after


async def test_an_adjustment_with_a_reference_counts_once(root: Api, workspace: str) -> None:
    first = await adjust(root, workspace, 2, reference="fix")
    again = await adjust(root, workspace, 2, reference="fix")

    assert again.entry == first.entry
    assert await reason(adjust(root, workspace, 3, reference="fix")) == "REFERENCE_REUSED"
    assert await reason(top_up(root, workspace, purchase_id="fix")) == "REFERENCE_REUSED"
    assert await balance(root, workspace) == 2


async def test_a_grant_is_refunded_up_to_what_it_was(root: Api, workspace: str) -> None:
    """In parts, and never more; what is left is named."""
    await top_up(root, workspace)
    await top_up(root, workspace, purchase_id="purchase 2", amount=1)
    part = await refund(
        root, workspace, subject="purchase 1", amount_nano_credits=4 * CREDIT, reference="r 1"
    )
    assert part.entry.amount_nano_credits == -4 * CREDIT
    assert part.entry.subject == "purchase 1"
    repeated = await refund(root, workspace, subject="purchase 1", reference="r 1")
    assert repeated.entry == part.entry

    too_much = await refusal(
        refund(root, workspace, subject="purchase 1", amount_nano_credits=7 * CREDIT)
    )
    assert (too_much.reason, too_much.metadata["left"]) == ("REFUND_TOO_LARGE", str(6 * CREDIT))
    rest = await refund(root, workspace, subject="purchase 1")
    assert rest.entry.amount_nano_credits == -6 * CREDIT
    assert await reason(refund(root, workspace, subject="purchase 1")) == "REFUND_TOO_LARGE"
    assert await balance(root, workspace) == 1
    assert await adds_up(root, workspace) == 4


@pytest.mark.parametrize("subject", ["nothing", "fix"])
async def test_only_charges_and_grants_are_refunded(
    root: Api, workspace: str, subject: str
) -> None:
    await adjust(root, workspace, 2, reference="fix")

    refused = await refusal(refund(root, workspace, subject=subject))

    assert (refused.reason, refused.code) == ("REFERENCE_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize("subject", ["", " ", "a\nb", "x" * 129])
async def test_a_refund_names_what_it_returns(root: Api, workspace: str, subject: str) -> None:
    with invalid_field("subject"):
        await refund(root, workspace, subject=subject)


async def test_a_refund_of_nothing_is_refused(root: Api, workspace: str) -> None:
    """All that is left is refunded by a call without an amount, not by 0."""
    await top_up(root, workspace)

    for amount in (0, -1):
        with invalid_field("amount_nano_credits"):
            await refund(root, workspace, subject="purchase 1", amount_nano_credits=amount)
    assert await balance(root, workspace) == 10


async def test_what_expired_is_not_refunded(root: Api, workspace: str, clock: ManualClock) -> None:
    """It was taken back already: what was used of the grant is left to refund, and no more."""
    await top_up(root, workspace, expire_time=timestamp(START + DAY))
    await adjust(root, workspace, -4)
    clock.time += DAY

    too_much = await refusal(
        refund(root, workspace, subject="purchase 1", amount_nano_credits=5 * CREDIT)
    )
    rest = await refund(root, workspace, subject="purchase 1")

    assert (too_much.reason, too_much.metadata["left"]) == ("REFUND_TOO_LARGE", str(4 * CREDIT))
    assert rest.entry.amount_nano_credits == -4 * CREDIT


async def test_what_expires_is_an_entry(root: Api, workspace: str, clock: ManualClock) -> None:
    """Whatever comes next finds it gone."""
    await top_up(root, workspace, expire_time=timestamp(START + DAY))
    await top_up(root, workspace, purchase_id="for ever", amount=1)
    clock.time += DAY

    after = await adjust(root, workspace, 1)

    assert after.balance.balance_nano_credits == 2 * CREDIT
    kinds = [EntryKind.Name(entry.kind) for entry in await entries(root, workspace)]
    assert kinds[:2] == ["ENTRY_KIND_ADJUSTMENT", "ENTRY_KIND_EXPIRY"]
    assert await adds_up(root, workspace) == 4


async def test_nobody_can_take_the_reference_of_an_expiry(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """It would hold up the expiry, and every change of the workspace with it."""
    grant = (await top_up(root, workspace, expire_time=timestamp(START + DAY))).entry.subject
    for number in (3, 4, 5):
        await adjust(root, workspace, 1, reference=f"expiry of {grant} {number}")
    clock.time += DAY

    await adjust(root, workspace, 1)

    assert await balance(root, workspace) == 4
    assert (await entries(root, workspace))[1].reference.startswith("expiry_")


async def test_entries_are_listed_page_by_page(root: Api, workspace: str) -> None:
    for number in range(5):
        await adjust(root, workspace, 1, reference=str(number))
    await top_up(root, workspace)
    request = ListEntriesRequest(
        workspace_id=workspace, kind=EntryKind.ENTRY_KIND_ADJUSTMENT, page_size=2
    )
    references = []
    while True:
        page = await root(request)
        references += [entry.reference for entry in page.entries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    assert references == ["4", "3", "2", "1", "0"]
    assert [entry.number for entry in await entries(root, workspace, reference="3")] == [4]
    assert await entries(root, workspace, start_time=timestamp(START + DAY)) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": 0}, "amount_nano_credits"),
        ({"amount": -1}, "amount_nano_credits"),
        ({"amount": 10**8 + 1}, "amount_nano_credits"),
        ({"purchase_id": " "}, "purchase_id"),
        ({"purchase_id": "x" * 129}, "purchase_id"),
        ({"purchase_id": "a\nb"}, "purchase_id"),
        ({"priority": 101}, "priority"),
        ({"priority": -1}, "priority"),
        ({"note": "x" * 501}, "note"),
        ({"expire_time": timestamp(START)}, "expire_time"),
        ({"ttl": duration(timedelta())}, "ttl"),
        ({"ttl": duration(timedelta(days=3654))}, "ttl"),
    ],
)
async def test_a_top_up_that_breaks_a_limit(
    root: Api, workspace: str, fields: dict[str, Any], field: str
) -> None:
    with invalid_field(field):
        await top_up(root, workspace, **fields)
    assert await balance(root, workspace) == 0


async def test_an_adjustment_that_breaks_a_limit(root: Api, workspace: str) -> None:
    for amount in (0, -(10**9)):
        with invalid_field("amount_nano_credits"):
            await adjust(root, workspace, amount)
    with invalid_field("reason"):
        await adjust(root, workspace, 1, reason=" ")


async def test_a_balance_has_bounds(root: Api, workspace: str) -> None:
    """2^62 nano-credits, either way: what would go beyond is refused, and nothing of it entered."""
    for number in range(46):
        await top_up(root, workspace, amount=10**8, purchase_id=str(number))

    refused = await refusal(top_up(root, workspace, amount=10**8, purchase_id="too much"))

    assert refused.code == grpc.StatusCode.OUT_OF_RANGE
    assert refused.reason == "BALANCE_OUT_OF_RANGE"
    assert await adds_up(root, workspace) == 46


async def test_whose_workspace_it_is(authority: Authority, root: Api, workspace: str) -> None:
    """A biller of other workspaces does not learn that this one exists."""
    other = (await root(CreateWorkspaceRequest(name="other"))).workspace.id
    bound = await authority.caller(Role.BILLER, workspace_ids=[other])
    await top_up(bound, other)

    for attempt in (
        top_up(bound, workspace),
        adjust(bound, workspace, 1),
        refund(bound, workspace, subject="x"),
        balance(bound, workspace),
        entries(bound, workspace),
        adds_up(bound, workspace),
    ):
        assert await reason(attempt) == "WORKSPACE_NOT_FOUND"


async def test_changes_are_audited(root: Api, workspace: str) -> None:
    """With what was entered, and by whom."""
    await top_up(root, workspace, expire_time=timestamp(START + DAY))
    await adjust(root, workspace, -1, reference="fix")
    await refund(root, workspace, subject="purchase 1", reference="back")

    audited = (await root(ListAuditEntriesRequest(workspace_id=workspace))).entries

    assert [(Action.Name(entry.fact), dict(entry.details)) for entry in audited][:3] == [
        (
            "ACTION_CREDITS_REFUNDED",
            {"credits": "-10", "subject": "purchase 1", "reference": "back"},
        ),
        (
            "ACTION_CREDITS_ADJUSTED",
            {"credits": "-1", "reason": "a mistake", "reference": "fix"},
        ),
        (
            "ACTION_CREDITS_ADDED",
            {
                "credits": "10",
                "purchase": "purchase 1",
                "priority": "50",
                "expires": "2030-01-03T03:04:05.678901+00:00",
            },
        ),
    ]


async def test_usage_of_a_workspace_without_charges(root: Api, workspace: str) -> None:
    """What was bought and returned is no usage."""
    await top_up(root, workspace)
    await refund(root, workspace, subject="purchase 1", amount_nano_credits=CREDIT)
    groups: Any = [UsageGroup.USAGE_GROUP_MODEL, UsageGroup.USAGE_GROUP_DAY]

    response = await root(SummarizeUsageRequest(workspace_id=workspace, group_by=groups))

    assert response == SummarizeUsageResponse()
    assert await reason(root(SummarizeUsageRequest(workspace_id="ws_1"))) == "WORKSPACE_NOT_FOUND"
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"group_by": [0]}, "group_by"),
        ({"group_by": [1, 1]}, "group_by"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"start_time": timestamp(START - 401 * DAY)}, "start_time"),
    )
    for fields, field in wrong:
        with invalid_field(field):
            await root(SummarizeUsageRequest(workspace_id=workspace, **fields))
