"""Whatever takes a right away takes what was made by it, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest

from console.people import NotFound, People, Person, Role
from tests.console.people.parts import NEW_PASSWORD, administrator, by, identity, member, outcomes

ADMINISTRATOR: Final = "an administrator's link for a new password"
OWNER: Final = "an owner's invitation"
ELSEWHERE: Final = "an owner's invitation to another workspace"
SIGNED_IN: Final = "a sign-in"
FOR_THEM: Final = "a link for their own new password"
MADE: Final = (ADMINISTRATOR, OWNER, ELSEWHERE, SIGNED_IN, FOR_THEM)


@dataclass(frozen=True, slots=True)
class Cast:
    """Eve is an administrator and owns two workspaces; Ada takes a right of hers away."""

    people: People
    ada: Person
    eve: Person


async def dismiss(cast: Cast) -> None:
    await cast.people.accounts.set_administrator(by(cast.ada), cast.eve.id, False)


async def disable(cast: Cast) -> None:
    await cast.people.accounts.set_disabled(by(cast.ada), cast.eve.id, True)


async def demote(cast: Cast) -> None:
    await cast.people.memberships.set_role(by(cast.ada), "ws_1", cast.eve.id, Role.MEMBER)


async def show_only(cast: Cast) -> None:
    await cast.people.memberships.set_role(by(cast.ada), "ws_1", cast.eve.id, Role.VIEWER)


async def remove(cast: Cast) -> None:
    await cast.people.memberships.remove(by(cast.ada), "ws_1", cast.eve.id)


async def sign_out(cast: Cast) -> None:
    await cast.people.sessions.end_others(by(cast.ada), cast.eve.id)


async def new_password(cast: Cast) -> None:
    await cast.people.accounts.set_password(by(cast.eve), cast.eve.id, NEW_PASSWORD)


async def sign_in_elsewhere(cast: Cast) -> None:
    one = identity()
    await cast.people.accounts.link_identity(by(cast.eve), cast.eve.id, one.issuer, one.subject)


@pytest.fixture
async def cast(people: People) -> Cast:
    ada = await administrator(people)
    eve = await member(people, ada, "eve@example.com", Role.OWNER)
    await people.accounts.set_administrator(by(ada), eve.id, True)
    await people.memberships.add(by(ada), "ws_2", eve.id, Role.OWNER)
    return Cast(people, ada, eve)


async def made(cast: Cast) -> dict[str, Callable[[], Awaitable[object]]]:
    """All that Eve has by her rights; each says whether it is still good."""
    people, eve = cast.people, by(cast.eve)
    victim = await member(people, cast.ada, "victim@example.com")
    recovery = await people.links.new_recovery(eve, victim.id)
    own = await people.links.new_recovery(by(cast.ada), cast.eve.id)
    _, invitation = await people.links.invite(eve, "ws_1", "new@example.com", Role.OWNER)
    _, elsewhere = await people.links.invite(eve, "ws_2", "new@example.com", Role.OWNER)
    _, session = await people.sessions.begin(cast.eve.id, "192.0.2.9", "", "password")
    return {
        ADMINISTRATOR: lambda: people.links.find(recovery.reveal()),
        OWNER: lambda: people.links.find(invitation.reveal()),
        ELSEWHERE: lambda: people.links.find(elsewhere.reveal()),
        SIGNED_IN: lambda: people.sessions.find(session.reveal()),
        FOR_THEM: lambda: people.links.find(own.reveal()),
    }


@pytest.mark.parametrize(
    ("taking", "gone"),
    [
        (dismiss, {ADMINISTRATOR}),
        (disable, set(MADE)),
        (demote, {OWNER}),
        (show_only, {OWNER}),
        (remove, {OWNER}),
        (sign_out, {SIGNED_IN}),
        (new_password, {SIGNED_IN, FOR_THEM}),
        (sign_in_elsewhere, {SIGNED_IN, FOR_THEM}),
    ],
)
async def test_what_goes_with_a_right(
    cast: Cast, taking: Callable[[Cast], Awaitable[None]], gone: set[str]
) -> None:
    """For each way of losing one: just what was made by it is good for nothing."""
    still_good = await made(cast)
    assert all([await good() for good in still_good.values()])

    await taking(cast)

    assert {name for name, good in still_good.items() if not await good()} == gone


async def test_nothing_is_made_by_a_right_that_is_gone(cast: Cast) -> None:
    """Whoever was let through a moment before their right went comes too late."""
    await dismiss(cast)
    await demote(cast)

    accounts, memberships, links = cast.people.accounts, cast.people.memberships, cast.people.links
    eve = by(cast.eve)
    invitation, _ = await links.invite(by(cast.ada), "ws_1", "new@example.com", Role.OWNER)
    too_late = [
        links.new_recovery(eve, cast.ada.id),
        links.invite(eve, "ws_1", "other@example.com", Role.OWNER),
        links.withdraw(eve, "ws_1", invitation.id),
        accounts.set_administrator(eve, cast.eve.id, True),
        accounts.set_disabled(eve, cast.ada.id, True),
        memberships.add(eve, "ws_3", cast.eve.id, Role.OWNER),
        memberships.set_role(eve, "ws_1", cast.eve.id, Role.OWNER),
        memberships.remove(eve, "ws_1", cast.ada.id),
    ]
    for deed in too_late:
        with pytest.raises(NotFound):
            await deed


async def test_a_right_given_back_brings_no_link_back(cast: Cast) -> None:
    """A link that ended with its maker's right stays ended."""
    still_good = await made(cast)
    await dismiss(cast)
    await cast.people.accounts.set_administrator(by(cast.ada), cast.eve.id, True)

    assert not await still_good[ADMINISTRATOR]()


async def test_administrators_at_once(cast: Cast, other: People) -> None:
    """Two who act on one person at the same moment wait for each other, and neither for ever."""
    people = cast.people
    bob = await member(people, cast.ada, "bob@example.com")
    for n in range(20):
        results = await outcomes(
            people.memberships.add(by(cast.ada), f"ws_a{n}", bob.id, Role.VIEWER),
            other.accounts.set_administrator(by(cast.eve), bob.id, n % 2 == 0),
            people.links.new_recovery(by(cast.ada), bob.id),
            other.memberships.add(by(cast.eve), f"ws_e{n}", bob.id, Role.VIEWER),
        )
        assert [result for result in results if isinstance(result, Exception)] == []
