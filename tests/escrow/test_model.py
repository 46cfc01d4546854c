"""Whatever the network does, every hold is covered and no credit is lost: and each rule is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from keyauthority.escrow.purse import Call, Charge, Purse
from keyauthority.escrow.slices import (
    Account,
    Settled,
    Slice,
    SliceCall,
    SliceClosing,
    Word,
    settle,
)
from tests.escrow.model import Answer, Message, Model, World, search, walk


class Two(Model):
    verifiers = 2
    requests = 1


class GrantsAgain(Model):
    """A repeated call grants again."""

    def settle(self, account: Account, latest: Slice | None, call: SliceCall) -> Settled:
        forgotten = latest and replace(latest, sequence=min(latest.sequence, call.sequence - 1))
        return settle(account, forgotten, call, self.verifiers)


class GrantsWhatOthersHold(Two):
    """What is granted is looked for in the balance, not in what is available."""

    def settle(self, account: Account, latest: Slice | None, call: SliceCall) -> Settled:
        looked_at = replace(account, balance=account.balance + account.escrowed)
        settled = settle(looked_at, latest, call, 1)
        return replace(settled, account=replace(settled.account, balance=account.balance))


class ForgetsChargesCountedIn(Model):
    """A repeated call comes without the charges that its `keep` counts in."""

    def send(self, number: int, release: int, world: World) -> None:
        super().send(number, release, world)
        message = world.messages[-1]
        if any(one.call is message.call for one in world.messages[:-1]):
            message.charges = ()


class KeepsBeforeCharges(Model):
    """The authority applies what is kept before the charges of the same call."""

    def charges(self, world: World, mine: int, message: Message) -> None:
        pass

    def settles(self, world: World, mine: int, call: Call, answer: Answer) -> None:
        super().settles(world, mine, call, answer)
        super().charges(world, mine, Message(mine, None, [], call.charges))


class ForgetsClosings(Model):
    """A closing that comes before the first call of its slice is forgotten."""

    def close(self, world: World, mine: int, closing: SliceClosing, *, dead: bool) -> None:
        if (mine, closing.number) in world.slices:
            super().close(world, mine, closing, dead=dead)


class ReopensSlices(Model):
    """A slice that is closed gets more."""

    def settle(self, account: Account, latest: Slice | None, call: SliceCall) -> Settled:
        return settle(account, latest and replace(latest, closed=False), call, self.verifiers)


class _SpendsAfterClosing(Purse):
    def close(self) -> None:
        free = self.free
        super().close()
        self.free = free


class SpendsAfterClosing(Model):
    """A verifier goes on spending from a slice that it closed."""

    purse = _SpendsAfterClosing


class _TakesLateGrants(Purse):
    def answered(self, call: Call, word: Word, granted: int) -> bool:
        self._call = call
        return super().answered(call, word, granted)


class TakesLateGrants(Model):
    """A grant that was under way when its slice was closed is spent."""

    purse = _TakesLateGrants


class _FreesWhatCharged(Purse):
    def confirmed(self, references: Iterable[str]) -> None:
        charges = [self._charges[one] for one in references if one in self._charges]
        super().confirmed(references)
        if self._open:
            self.free += sum(sum(charge.taken().values()) for charge in charges)


class FreesWhatCharged(Model):
    """What a charge took is free again when it is confirmed."""

    purse = _FreesWhatCharged


class KeepsTooLittle(Model):
    """What is kept leaves out charges that the call does not bring."""

    def send(self, number: int, release: int, world: World) -> None:
        purse = world.verifiers[number].purse
        world.messages.append(Message(number, purse.call(2, 1, release=release), [], ()))


class SendsUncountedCharges(Model):
    """While a call is under way a charge that it does not count in is sent, and arrives before it."""

    def send(self, number: int, release: int, world: World) -> None:
        purse = world.verifiers[number].purse
        call, charges = purse.call(2, 1, release=release), tuple(purse._charges.values())
        world.messages.append(Message(number, call, purse.closings(charges), charges))


class ClosedIsLate(Model):
    """A charge on a slice that is closed is treated as late."""

    def enter(self, world: World, mine: int, one: Charge) -> None:
        closed = {key: slice_ for key, slice_ in world.slices.items() if slice_.closed}
        for key in closed:
            del world.slices[key]
        super().enter(world, mine, one)
        world.slices |= closed


class ChargesOverrunTwice(Model):
    """What a request cost beyond its hold is charged twice."""

    def enter(self, world: World, mine: int, one: Charge) -> None:
        over = max(0, one.cost - sum(one.parts.values()))
        super().enter(world, mine, replace(one, cost=one.cost + over))


class TakesNewestFirst(Model):
    """The authority takes what a charge costs of the newest slice first."""

    def enter(self, world: World, mine: int, one: Charge) -> None:
        parts = dict(reversed(list(one.parts.items())))
        super().enter(world, mine, replace(one, parts=parts))


@pytest.mark.parametrize("model", [Model, Two])
def test_no_order_of_events_breaks_a_promise(model: type[Model]) -> None:
    found = search(model(), 20_000)

    assert not found.wrong, found.path
    assert found.explored >= 20_000


@pytest.mark.parametrize("model", [Model, Two])
def test_no_long_history_breaks_a_promise(model: type[Model]) -> None:
    found = walk(model(), 2000)

    assert not found.wrong, found.path


@pytest.mark.parametrize(
    "bug",
    [
        GrantsAgain,
        GrantsWhatOthersHold,
        ForgetsChargesCountedIn,
        KeepsBeforeCharges,
        ForgetsClosings,
        ReopensSlices,
        SpendsAfterClosing,
        TakesLateGrants,
        FreesWhatCharged,
        KeepsTooLittle,
        SendsUncountedCharges,
        ClosedIsLate,
        ChargesOverrunTwice,
        TakesNewestFirst,
    ],
    ids=lambda bug: bug.__name__,
)
def test_each_rule_is_needed(bug: type[Model]) -> None:
    """Without it, some history breaks a promise."""
    assert walk(bug(), 3000).wrong or search(bug(), 100_000).wrong, bug.__doc__
