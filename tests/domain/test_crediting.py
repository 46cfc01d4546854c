"""What a ledger takes back, and that a ledger which does not add up is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keyauthority.domain.callers import authority
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.refunding import Refunding
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ledger import EntryFilter, Kind, Use, Written
from keyauthority.domain.ports import Store
from keyauthority.escrow.slices import Account
from tests.conformance.records import START, ManualClock
from tests.domain.parts import UseCases, an_actor
from tests.transactions import changing, reading

BILLER = an_actor()

BY = authority("metering").signature


@pytest.fixture
async def workspace(cases: UseCases) -> str:
    return (await cases.workspaces.create(BILLER, "acme")).id


@pytest.fixture
def crediting(cases: UseCases) -> Crediting:
    return Crediting(cases.books)


async def charge(store: Store, workspace_id: str, cost: int, reference: str) -> None:
    async with changing(store) as tx:
        sheet = await read_sheet(tx, workspace_id)
        sheet.reduce(Kind.CHARGE, cost, reference, BY, use=Use("key_1", "gpt-5"))
        await write_sheet(tx, sheet)


async def test_a_charge_is_refunded_to_its_workspace(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """In parts, and never more than it was; what comes back is there to be spent."""
    await crediting.top_up(BILLER, workspace, Purchase("p", 10))
    await charge(cases.store, workspace, 7, "c")

    part, _ = await Refunding(cases.books).refund(BILLER, workspace, "c", 3)
    rest, _ = await Refunding(cases.books).refund(BILLER, workspace, "c")

    assert (part.entry.amount, rest.entry.amount) == (3, 4)
    assert rest.account == Account(10)
    with pytest.raises(KeyAuthorityError) as caught:
        await Refunding(cases.books).refund(BILLER, workspace, "c", 1)
    assert (caught.value.reason, caught.value.metadata["left"]) == (Reason.REFUND_TOO_LARGE, "0")
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_a_refund_pays_a_debt_first(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    await charge(cases.store, workspace, 7, "c")

    refunded, _ = await Refunding(cases.books).refund(BILLER, workspace, "c", 5)

    assert refunded.account == Account(-2)
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_a_charge_comes_back_as_it_was_drawn(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """On the terms of each grant, what was drawn last first; a debt on no terms."""
    ends = START + timedelta(days=1)
    promotion = Purchase("a", 5, priority=1, expire_time=ends, promotional=True)
    await crediting.top_up(BILLER, workspace, promotion)
    await crediting.top_up(BILLER, workspace, Purchase("b", 4, priority=70))
    await charge(cases.store, workspace, 12, "c")

    async def remaining() -> list[tuple[int, int, bool]]:
        async with reading(cases.store) as tx:
            grants = (await tx.ledger.grants([workspace]))[workspace]
        assert all((grant.expire_time == ends) is grant.promotional for grant in grants)
        return sorted((grant.priority, grant.remaining, grant.promotional) for grant in grants)

    # The debt of 3, and 1 of the last grant.
    await Refunding(cases.books).refund(BILLER, workspace, "c", 4)
    assert await remaining() == [(70, 1, False)]
    await Refunding(cases.books).refund(BILLER, workspace, "c", 5)
    assert await remaining() == [(1, 2, True), (70, 4, False)]
    rest, _ = await Refunding(cases.books).refund(BILLER, workspace, "c")
    assert (rest.entry.amount, rest.account) == (3, Account(9))
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def grants_in_use(store: Store, workspace_id: str) -> list[int]:
    async with reading(store) as tx:
        grants = (await tx.ledger.grants([workspace_id])).get(workspace_id, [])
    return sorted(grant.remaining for grant in grants)


async def test_refunds_leave_no_more_grants_than_there_were(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """What comes back goes to the grant that it came from: each grant makes all later calls slower."""
    await crediting.top_up(BILLER, workspace, Purchase("p", 10))
    await crediting.top_up(BILLER, workspace, Purchase("q", 10, priority=70))
    for number in range(5):
        await charge(cases.store, workspace, 4, f"c{number}")
    for number in range(5):
        await Refunding(cases.books).refund(BILLER, workspace, f"c{number}")

    assert await grants_in_use(cases.store, workspace) == [10, 10]
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_refunds_of_a_debt_share_one_grant(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """One without terms that is in use, if there is one."""
    for number in range(4):
        await charge(cases.store, workspace, 4, f"c{number}")
    await crediting.top_up(BILLER, workspace, Purchase("q", 20, priority=70))
    for number in range(4):
        await Refunding(cases.books).refund(BILLER, workspace, f"c{number}")

    assert await grants_in_use(cases.store, workspace) == [4, 16]
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_a_debt_may_come_back_to_a_grant_that_was_drawn_too(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    await crediting.top_up(BILLER, workspace, Purchase("p", 10))
    await charge(cases.store, workspace, 4, "c")
    await charge(cases.store, workspace, 7, "into debt")
    await Refunding(cases.books).refund(BILLER, workspace, "c")
    await Refunding(cases.books).refund(BILLER, workspace, "into debt")

    assert await grants_in_use(cases.store, workspace) == [10]
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_what_expired_of_a_refunded_charge_is_not_returned_to_its_buyer(
    cases: UseCases, crediting: Crediting, clock: ManualClock, workspace: str
) -> None:
    """It came back to the grant that it was drawn of, and expired there."""
    ends = START + timedelta(days=1)
    await crediting.top_up(BILLER, workspace, Purchase("a", 5, expire_time=ends))
    await charge(cases.store, workspace, 3, "c")
    clock.time = ends
    await Refunding(cases.books).refund(BILLER, workspace, "c")

    with pytest.raises(KeyAuthorityError) as caught:
        await Refunding(cases.books).refund(BILLER, workspace, "a")
    assert (caught.value.reason, caught.value.metadata["left"]) == (Reason.REFUND_TOO_LARGE, "0")


async def test_what_would_have_expired_meanwhile_comes_back_to_expire(
    cases: UseCases, crediting: Crediting, clock: ManualClock, workspace: str
) -> None:
    """A refund gives no credits a longer life than was bought."""
    ends = START + timedelta(days=1)
    await crediting.top_up(BILLER, workspace, Purchase("a", 5, expire_time=ends))
    await charge(cases.store, workspace, 3, "c")
    clock.time = ends

    refunded, _ = await Refunding(cases.books).refund(BILLER, workspace, "c")

    assert (refunded.entry.amount, refunded.account) == (3, Account(0))
    assert (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults == ()


async def test_a_refund_of_a_grant_takes_that_grant_first(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """Though another would be drawn before it."""
    await crediting.top_up(BILLER, workspace, Purchase("first", 5, priority=1))
    await crediting.top_up(BILLER, workspace, Purchase("second", 5))

    await Refunding(cases.books).refund(BILLER, workspace, "second", 4)

    async with reading(cases.store) as tx:
        grants = (await tx.ledger.grants([workspace]))[workspace]
        remaining = {grant.priority: grant.remaining for grant in grants}
    assert remaining == {1: 5, 50: 1}


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (Account(9), "the account's balance is 9, and the sum of the entries is 10"),
        (Account(10, 3), "the account's escrowed is 3, and the sum of the slices is 0"),
        (Account(11), "what remains of the grants is 10, and the balance is 11"),
    ],
)
async def test_what_does_not_add_up_is_said(
    cases: UseCases, crediting: Crediting, workspace: str, account: Account, fault: str
) -> None:
    await crediting.top_up(BILLER, workspace, Purchase("p", 10))
    async with changing(cases.store) as tx:
        await tx.ledger.write([Written(workspace, account)])

    assert fault in (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults


async def test_a_missing_entry_is_noticed(
    cases: UseCases, crediting: Crediting, workspace: str
) -> None:
    """The numbers of the entries have no gaps."""
    await crediting.top_up(BILLER, workspace, Purchase("p", 10))
    async with changing(cases.store) as tx:
        [entry], _ = await tx.ledger.page(EntryFilter(workspace), 9, None)
        later = replace(entry, number=3, amount=0, reference="x")
        await tx.ledger.write([Written(workspace, Account(10), [later])])

    faults = (await ReadingLedger(cases.books).prove(BILLER, workspace)).faults
    assert "the newest entry's number is 3, and the number of entries is 2" in faults
