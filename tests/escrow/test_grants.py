"""Which credits are used first, and which expire: and the sums always agree."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keyauthority.escrow.grants import Draw, Grant, draw, expire, in_order, remaining_of

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_order_is_priority_expiry_promotion_age() -> None:
    grants = [
        Grant("last", 1, NOW, priority=60, expire_time=NOW),
        Grant("younger", 1, NOW),
        Grant("older", 1, NOW - DAY),
        Grant("promotional", 1, NOW, promotional=True),
        Grant("later", 1, NOW, expire_time=NOW + 2 * DAY),
        Grant("sooner", 1, NOW, expire_time=NOW + DAY),
        Grant("first", 1, NOW, priority=1),
    ]

    assert [grant.id for grant in in_order(grants)] == [
        "first",
        "sooner",
        "later",
        "promotional",
        "older",
        "younger",
        "last",
    ]


def test_what_no_grant_covers_is_a_debt() -> None:
    grants = [Grant("a", 3, NOW), Grant("b", 4, NOW + DAY)]

    assert draw(grants, 5) == ([Draw("a", 3), Draw("b", 2)], 0)
    assert draw(grants, 9) == ([Draw("a", 3), Draw("b", 4)], 2)


def test_a_grant_pays_a_debt_first() -> None:
    assert [remaining_of(10, balance) for balance in (5, 0, -4, -12)] == [10, 10, 6, 0]


def test_what_stands_in_slices_does_not_expire() -> None:
    """It is of the grants that are drawn first; what comes back expires then."""
    grants = [
        Grant("over", 5, NOW, expire_time=NOW),
        Grant("over too", 5, NOW, expire_time=NOW + DAY),
        Grant("for ever", 5, NOW),
    ]

    assert expire(grants, 7, NOW) == []
    assert expire(grants, 3, NOW) == [Draw("over", 2)]
    assert expire(grants, 3, NOW + DAY) == [Draw("over", 2), Draw("over too", 5)]
    assert expire(grants, 0, NOW + 9 * DAY) == [Draw("over", 5), Draw("over too", 5)]


def test_a_later_grant_does_not_cover_what_stood_in_slices_at_an_expiry() -> None:
    """Though it is drawn first: the slices were set apart before there was such a grant."""
    due = Grant("due", 10, NOW - DAY, expire_time=NOW)
    earlier = Grant("earlier", 4, NOW - DAY, priority=1)
    later = Grant("later", 10, NOW, priority=1)

    assert expire([later, due], 10, NOW) == []
    assert expire([later, due], 7, NOW) == [Draw("due", 3)]
    assert expire([earlier, later, due], 10, NOW) == [Draw("due", 4)]


def test_many_grants_fall_due_at_once() -> None:
    """In a time that grows with their number, not with its square."""
    due = [Grant(f"{n:05}", 1, NOW - DAY, expire_time=NOW) for n in range(20_000)]

    begun = time.process_time()
    assert len(expire(due, 5_000, NOW)) == 15_000
    assert time.process_time() - begun < 2


AMOUNT = st.integers(0, 20)


class Ledger(RuleBasedStateMachine):
    """A workspace's grants under everything that happens to them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.balance = self.escrowed = self.granted = self.charged = self.expired = self.over = 0
        self.grants: dict[str, Grant] = {}

    @rule(amount=AMOUNT, days=st.none() | st.integers(0, 5), priority=st.integers(49, 51))
    def top_up(self, amount: int, days: int | None, priority: int) -> None:
        name = str(len(self.grants))
        expiry = None if days is None else self.now + days * DAY
        due = expire(in_order(self.grants.values()), self.escrowed, self.now)
        left = remaining_of(amount, self.balance)
        self.grants[name] = Grant(name, left, self.now, priority, expiry)
        self.balance += amount
        self.granted += amount
        due_now = expire(in_order(self.grants.values()), self.escrowed, self.now)
        assert [one for one in due_now if one.grant_id != name] == due, "a top-up had others expire"

    @rule(cost=AMOUNT, held=AMOUNT)
    def charge(self, cost: int, held: int) -> None:
        """A request ends that held *held* of the slices: they lose the cost, but no more than that."""
        held = min(held, self.escrowed)
        draws, debt = draw(in_order(self.grants.values()), cost)
        assert sum(one.amount for one in draws) + debt == cost
        self.take(draws)
        self.balance -= cost
        self.charged += cost
        self.escrowed -= min(cost, held)
        self.over += max(cost - held, 0)

    @rule(amount=AMOUNT)
    def set_apart(self, amount: int) -> None:
        self.escrowed += min(amount, max(self.balance - self.escrowed, 0))

    @rule(amount=AMOUNT)
    def bring_back(self, amount: int) -> None:
        self.escrowed -= min(amount, self.escrowed)
        self.expire()

    @rule(days=st.integers(0, 3))
    def wait(self, days: int) -> None:
        self.now += days * DAY
        self.expire()

    def expire(self) -> None:
        draws = expire(in_order(self.grants.values()), self.escrowed, self.now)
        self.take(draws)
        expired = sum(one.amount for one in draws)
        self.balance -= expired
        self.expired += expired
        assert not expire(in_order(self.grants.values()), self.escrowed, self.now)

    def take(self, draws: list[Draw]) -> None:
        for one in draws:
            grant = self.grants[one.grant_id]
            self.grants[one.grant_id] = replace(grant, remaining=grant.remaining - one.amount)

    @invariant()
    def the_sums_agree(self) -> None:
        remaining = [grant.remaining for grant in self.grants.values()]
        assert min(remaining, default=0) >= 0
        assert sum(remaining) == max(self.balance, 0)
        assert self.balance == self.granted - self.charged - self.expired

    @invariant()
    def what_stands_in_slices_is_there(self) -> None:
        """But for what requests cost beyond their holds."""
        assert 0 <= self.escrowed <= self.balance + self.over


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
