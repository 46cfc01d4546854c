"""Whom to ask: the rules, by a clock of the test's own."""

from __future__ import annotations

from collections import Counter

import pytest

from keyauthority.client.addresses import parse_addresses
from keyauthority.client.attempts import Kind, kind
from keyauthority.client.names import Names, Target
from keyauthority.client.replicas import LIVELY, MOST_SPARE, TRIED_AGAIN, Replica, Replicas
from tests.client.parts import until

Some = Replica[Target]


class Group:
    """Three replicas, each of which is its own channel."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.retired: list[Target] = []
        self.replicas: Replicas[Target] = Replicas(
            parse_addresses("10.0.0.1:1,10.0.0.2:1,10.0.0.3:1"),
            lambda target: target,
            self.retired.append,
            clock=lambda: self.now,
        )
        self.all = self.turns(3)

    def turns(self, number: int) -> list[Some]:
        return [self.replicas.one() for _ in range(number)]


@pytest.fixture
def group() -> Group:
    return Group()


def test_they_take_turns(group: Group) -> None:
    """All of them, and without one that is sick the others."""
    assert Counter(group.turns(300)) == dict.fromkeys(group.all, 100)
    sick, *well = group.all
    group.replicas.failed(sick)
    assert Counter(group.turns(300)) == dict.fromkeys(well, 150)


def test_another_one_is_another_one(group: Group) -> None:
    """Those tried are not asked again; sick ones last; then there is nobody."""
    sick, first, second = group.all
    group.replicas.failed(sick)
    assert group.replicas.next([first]) is second
    assert group.replicas.next([first, second]) is sick
    assert group.replicas.next(group.all) is None


def test_one_call_finds_out_whether_it_is_well_again(group: Group) -> None:
    """After a second, and one each second; an answer brings it back."""
    sick = group.all[0]
    group.replicas.failed(sick)
    assert group.replicas.next(may_try_sick=True) is not sick
    group.now += TRIED_AGAIN
    assert group.replicas.next() is not sick
    assert group.replicas.next(may_try_sick=True) is sick
    assert group.replicas.next(may_try_sick=True) is not sick

    group.replicas.answered(sick)

    assert sick in group.turns(3)


def test_where_all_are_sick_the_last_to_answer_is_asked(group: Group) -> None:
    """Whoever is slow for a while is not as good as dead."""
    dead, slow, slower = group.all
    for one in (dead, slower, slow):
        group.now += 1
        group.replicas.answered(one)
    for one in group.all:
        group.replicas.failed(one)
    assert group.replicas.next() is slow
    assert group.replicas.next([slow]) is slower


def test_beside_slow_ones_only_those_are_asked_that_promise_more(group: Group) -> None:
    """One that is well; one that answered lately, while those asked did not."""
    dead, slow, slower = group.all
    for one in (slow, slower):
        group.replicas.answered(one)
    assert group.replicas.may_ask_beside([dead])
    for one in group.all:
        group.replicas.failed(one)
    assert group.replicas.may_ask_beside([dead])
    assert not group.replicas.may_ask_beside([slow])
    group.now += LIVELY
    assert not group.replicas.may_ask_beside([dead])


def test_overload_is_not_made_worse(group: Group) -> None:
    """Calls beside slow ones are spent; answers bring some back, fewer than they are."""
    one, other, _ = group.all
    for _ in range(int(MOST_SPARE)):
        assert group.replicas.may_ask_beside([one])
        group.replicas.slow([])
    assert not group.replicas.may_ask_beside([one])
    for _ in range(8):
        group.replicas.answered(other)
    assert group.replicas.may_ask_beside([one])


async def test_a_name_that_moves_is_followed() -> None:
    """All its addresses are used; what it leads to no more is retired; the rest stay as they are."""
    table: dict[str, tuple[str, ...]] = {}

    def look_up(name: str, port: int) -> tuple[str, ...]:
        if name not in table:
            raise OSError("no such name")
        return tuple(f"{host}:{port}" for host in table[name])

    addresses = parse_addresses("authority:50051,10.0.0.9:1")
    retired: list[Target] = []
    names = Names(addresses, look_up)
    replicas = Replicas(addresses, lambda target: target, retired.append, names=names)

    def everybody() -> list[Some]:
        found: list[Some] = []
        while (one := replicas.next(found)) is not None:
            found.append(one)
        return found

    def targets() -> set[str]:
        return {one.channel.address for one in everybody()}

    # Never found: gRPC may try, and says so.
    assert targets() == {"authority:50051", "10.0.0.9:1"}
    table["authority"] = ("10.0.0.1", "10.0.0.2")
    replicas.failed(replicas.one())
    await until(lambda: targets() == {"10.0.0.1:50051", "10.0.0.2:50051", "10.0.0.9:1"})
    assert retired == [Target("authority:50051")]
    kept = {one.channel.address: one for one in everybody()}

    table["authority"] = ("10.0.0.3", "10.0.0.2")
    replicas.failed(replicas.one())
    await until(lambda: targets() == {"10.0.0.3:50051", "10.0.0.2:50051", "10.0.0.9:1"})
    assert retired[1:] == [Target("10.0.0.1:50051", "authority:50051")]
    assert {kept["10.0.0.9:1"], kept["10.0.0.2:50051"]} < set(everybody())

    # Found no more: what it had is all there is.
    table.clear()
    replicas.failed(replicas.one())
    assert len(replicas) == 3
    replicas.close()


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("VerificationService/Verify", Kind.READS),
        ("VerificationService/BatchVerify", Kind.READS),
        ("KeyService/LookupKey", Kind.READS),
        ("AuditService/ListAuditEntries", Kind.READS),
        ("SpendingService/Settle", Kind.READS),
        ("SpendingService/ListCurrentPrices", Kind.READS),
        ("VerificationService/Sync", Kind.KEEPS_SESSION),
        ("VerificationService/Leave", Kind.KEEPS_SESSION),
        ("VerificationService/RevokePresented", Kind.CHANGES),
        ("KeyService/IssueKey", Kind.CHANGES),
        ("KeyService/RevokeKey", Kind.CHANGES),
        ("LaterService/Whatever", Kind.CHANGES),
    ],
)
def test_what_may_be_asked_twice(method: str, what: Kind) -> None:
    """What only reads; whatever else there may be is not."""
    assert kind(f"/keyauthority.v1.{method}") is what


def test_where_all_are_sick_each_is_tried(group: Group) -> None:
    """Whoever gave the last answer may be the one that is dead: once its second is not over, others are."""
    *others, last = group.all
    for one in group.all:
        group.now += 0.1
        group.replicas.answered(one)
    for one in group.all:
        group.replicas.failed(one)
    assert group.replicas.one() is last
    group.now += TRIED_AGAIN
    group.replicas.failed(last)
    assert group.replicas.one() in others
