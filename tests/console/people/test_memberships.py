"""Who is in which workspace."""

from __future__ import annotations

import itertools

import pytest

from console.people import (
    AlreadyMember,
    LastOwner,
    LinkInvalid,
    Member,
    Membership,
    NotFound,
    Password,
    People,
    Person,
    Role,
)
from tests.console.people.parts import (
    OPERATOR,
    PASSWORD,
    ManualClock,
    actions,
    by,
    member,
    outcomes,
)


def test_roles_cover_those_below() -> None:
    """An owner may all that a member may, who may all that a viewer may."""
    order = [Role.OWNER, Role.MEMBER, Role.VIEWER]
    for (i, one), (j, two) in itertools.product(enumerate(order), repeat=2):
        assert one.covers(two) is (i <= j)


async def test_members(people: People, ada: Person, clock: ManualClock) -> None:
    """A workspace knows its people, and a person their workspaces, each with role and time."""
    before = clock.time
    clock.pass_by(hours=1)
    bob = await member(people, ada, "bob@example.com", Role.VIEWER)
    await people.memberships.add(by(ada), "ws_2", bob.id, Role.OWNER)

    assert await people.memberships.of_workspace("ws_1") == [
        Member(ada, Role.OWNER, before),
        Member(bob, Role.VIEWER, clock.time),
    ]
    assert await people.memberships.of_person(bob.id) == [
        Membership("ws_1", Role.VIEWER, clock.time),
        Membership("ws_2", Role.OWNER, clock.time),
    ]
    assert await people.memberships.role("ws_1", bob.id) is Role.VIEWER
    assert await people.memberships.role("ws_2", ada.id) is None
    counts = await people.memberships.counts(["ws_1", "ws_2", "ws_3"])
    assert counts == {"ws_1": 2, "ws_2": 1, "ws_3": 0}
    assert await people.memberships.counts([]) == {}
    ids = [ada.id, bob.id, "person_0"]
    counts = await people.memberships.counts_of_people(iter(ids))
    assert counts == {one: len(await people.memberships.of_person(one)) for one in ids}
    assert counts[ada.id] != counts["person_0"] == 0


async def test_adding(people: People, ada: Person) -> None:
    """Nobody is added twice, nor somebody who isn't there."""
    with pytest.raises(AlreadyMember):
        await people.memberships.add(by(ada), "ws_1", ada.id, Role.VIEWER)
    with pytest.raises(NotFound):
        await people.memberships.add(by(ada), "ws_1", "person_0", Role.VIEWER)

    assert await people.memberships.role("ws_1", ada.id) is Role.OWNER


async def test_adding_uses_up_an_invitation(people: People, ada: Person) -> None:
    """An invitation of who was added otherwise is void: it would bring them back once removed."""
    await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
    bob = await member(people, ada, "bob@example.com", workspace_id="ws_2")
    _, token = await people.links.invite(by(ada), "ws_1", "Bob@example.com", Role.OWNER)
    await people.memberships.add(by(ada), "ws_1", bob.id, Role.VIEWER)
    await people.memberships.remove(by(ada), "ws_1", bob.id)

    with pytest.raises(LinkInvalid):
        await people.links.accept_invitation(token.reveal(), "", None, "", person_id=bob.id)


async def test_changing_a_role(people: People, ada: Person) -> None:
    """A role is changed in the one workspace; the history knows from what to what."""
    bob = await member(people, ada, "bob@example.com", Role.VIEWER)
    await people.memberships.add(by(ada), "ws_2", bob.id, Role.VIEWER)

    await people.memberships.set_role(by(ada), "ws_1", bob.id, Role.OWNER)

    assert await people.memberships.role("ws_1", bob.id) is Role.OWNER
    assert await people.memberships.role("ws_2", bob.id) is Role.VIEWER
    [event] = await people.history.page(limit=1)
    assert (event.action, event.subject, event.workspace_id) == ("member.role", bob.id, "ws_1")
    assert event.details == {"role": "owner", "before": "viewer"}
    await people.memberships.set_role(by(ada), "ws_1", bob.id, Role.OWNER)
    assert [event] == await people.history.page(limit=1)


async def test_removing(people: People, ada: Person) -> None:
    """Who is removed is in the workspace no more, and can't be removed again."""
    bob = await member(people, ada, "bob@example.com")

    await people.memberships.remove(by(ada), "ws_1", bob.id)

    assert await people.memberships.role("ws_1", bob.id) is None
    assert (await actions(people))[0] == "member.remove"
    for change in (
        people.memberships.remove(by(ada), "ws_1", bob.id),
        people.memberships.set_role(by(ada), "ws_1", bob.id, Role.VIEWER),
        people.memberships.remove(by(ada), "ws_2", ada.id),
    ):
        with pytest.raises(NotFound):
            await change


async def test_the_last_owner(people: People, ada: Person) -> None:
    """The only owner neither leaves nor becomes less, whoever else is there; a second one may."""
    bob = await member(people, ada, "bob@example.com", Role.MEMBER)
    for change in (
        people.memberships.remove(by(ada), "ws_1", ada.id),
        people.memberships.set_role(by(ada), "ws_1", ada.id, Role.MEMBER),
    ):
        with pytest.raises(LastOwner):
            await change
    await people.memberships.set_role(by(ada), "ws_1", ada.id, Role.OWNER)
    await people.memberships.set_role(by(ada), "ws_1", bob.id, Role.OWNER)

    await people.memberships.remove(by(ada), "ws_1", ada.id)

    assert await people.memberships.role("ws_1", bob.id) is Role.OWNER


async def test_the_last_of_two_owners_stays(people: People, other: People, ada: Person) -> None:
    """Of two owners who make each other or themselves less, or leave, at once, one stays owner."""
    bob = await member(people, ada, "bob@example.com", Role.OWNER)
    # An administrator may make anybody an owner: this is about two who are none.
    administrator, ada = ada, await member(people, ada, "eve@example.com", Role.OWNER)
    await people.memberships.remove(by(administrator), "ws_1", administrator.id)
    for n in range(8):
        leave = "remove" if n % 2 else "set_role"
        role = () if n % 2 else (Role.VIEWER,)
        one, two = (bob, ada) if n % 4 < 2 else (ada, bob)

        results = await outcomes(
            getattr(people.memberships, leave)(by(ada), "ws_1", one.id, *role),
            getattr(other.memberships, leave)(by(bob), "ws_1", two.id, *role),
        )

        # Whom the other has made less may not do it any more; the last owner does not go.
        refused = NotFound if n % 4 < 2 else LastOwner
        assert [type(result) for result in results if result is not None] == [refused]
        [owner] = [
            each.person
            for each in await people.memberships.of_workspace("ws_1")
            if each.role is Role.OWNER
        ]
        gone = bob if owner.id == ada.id else ada
        if n % 2:
            await people.memberships.add(OPERATOR, "ws_1", gone.id, Role.OWNER)
        else:
            await people.memberships.set_role(by(owner), "ws_1", gone.id, Role.OWNER)


@pytest.mark.parametrize("how", ["set_role", "remove"])
async def test_who_is_owner_no_longer_invites_no_longer(
    people: People, ada: Person, how: str
) -> None:
    """What a former owner invited is void, so that they don't come back by it; the rest stays."""
    bob = await member(people, ada, "bob@example.com", Role.OWNER)
    _, theirs = await people.links.invite(by(bob), "ws_1", "eve@example.com", Role.OWNER)
    others, _ = await people.links.invite(by(ada), "ws_1", "carol@example.com", Role.OWNER)

    if how == "remove":
        await people.memberships.remove(by(ada), "ws_1", bob.id)
    else:
        await people.memberships.set_role(by(ada), "ws_1", bob.id, Role.MEMBER)

    assert await people.links.of_workspace("ws_1") == [others]
    with pytest.raises(LinkInvalid):
        await people.links.accept_invitation(theirs.reveal(), "Eve", Password(PASSWORD), "")
