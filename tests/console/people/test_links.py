"""One-time links."""

from __future__ import annotations

import pytest

from console.people import (
    AlreadyMember,
    LinkInvalid,
    LinkPurpose,
    Membership,
    NotFound,
    Password,
    People,
    Person,
    Role,
)
from keyauthority.base.relational.location import Location
from tests.console.people.parts import (
    CONSOLE,
    NEW_PASSWORD,
    PASSWORD,
    ManualClock,
    actions,
    administrator,
    by,
    sql,
)


async def test_the_first_administrator(people: People, clock: ManualClock) -> None:
    """The set-up link makes an administrator who owns the workspaces that there are."""
    token = (await people.links.new_setup()).reveal()
    link = await people.links.find(token)
    assert link is not None
    assert link.purpose is LinkPurpose.SETUP

    ada = await people.links.accept_setup(
        token, " Ada@example.com ", "Ada", Password(PASSWORD), ["ws_1", "ws_2"], "192.0.2.1"
    )

    assert (ada.email, ada.administrator, ada.has_password) == ("Ada@example.com", True, True)
    assert await people.accounts.get(ada.id) == ada
    assert await people.memberships.of_person(ada.id) == [
        Membership("ws_1", Role.OWNER, clock.time),
        Membership("ws_2", Role.OWNER, clock.time),
    ]
    assert await actions(people) == ["member.add", "member.add", "person.create"]


async def test_a_setup_link_is_replaced(people: People) -> None:
    """The link that an earlier start printed opens nothing any more."""
    earlier = (await people.links.new_setup()).reveal()
    later = (await people.links.new_setup()).reveal()

    assert await people.links.find(earlier) is None
    with pytest.raises(LinkInvalid):
        await people.links.accept_setup(earlier, "e@x", "E", Password(PASSWORD), [], "")
    assert await people.links.find(later) is not None


async def test_no_setup_beside_an_administrator(people: People, ada: Person) -> None:
    """Where there is an administrator, no set-up link is made."""
    with pytest.raises(LinkInvalid):
        await people.links.new_setup()


async def test_a_setup_link_that_came_too_late(
    people: People, ada: Person, location: Location
) -> None:
    """A set-up link is worth nothing beside an administrator, as when it was made meanwhile."""
    await sql(location, "UPDATE people SET administrator = false")
    late = (await people.links.new_setup()).reveal()
    await sql(location, "UPDATE people SET administrator = true")

    assert await people.links.find(late) is None
    with pytest.raises(LinkInvalid):
        await people.links.accept_setup(late, "e@x", "E", Password(PASSWORD), [], "")


async def test_an_invitation(people: People, ada: Person, clock: ManualClock) -> None:
    """Whoever has the link of an invitation becomes a member in the role it names, once."""
    invitation, token = await people.links.invite(by(ada), "ws_1", "Bob@example.com", Role.VIEWER)
    assert await people.links.of_workspace("ws_1") == [invitation]
    assert invitation.invited_by == ada.id
    assert (invitation.expire_time - clock.time).days == 7
    link = await people.links.find(token.reveal())
    assert link is not None
    assert (link.email, link.role, link.workspace_id) == ("Bob@example.com", Role.VIEWER, "ws_1")
    assert link.inviter_email == ada.email

    bob = await people.links.accept_invitation(token.reveal(), "Bob", Password(PASSWORD), "")

    assert (bob.email, bob.administrator) == ("Bob@example.com", False)
    assert await people.memberships.role("ws_1", bob.id) is Role.VIEWER
    assert await people.links.of_workspace("ws_1") == []
    assert await people.links.find(token.reveal()) is None
    with pytest.raises(LinkInvalid):
        await people.links.accept_invitation(token.reveal(), "Eve", Password(PASSWORD), "")


async def test_members_are_not_invited(people: People, ada: Person) -> None:
    """Who is in the workspace already is not invited, in whatever case the address is typed."""
    with pytest.raises(AlreadyMember):
        await people.links.invite(by(ada), "ws_1", "ADA@EXAMPLE.COM", Role.VIEWER)


async def test_inviting_again_replaces(people: People, ada: Person) -> None:
    """The later invitation of an address counts: its role, and its link alone."""
    _, earlier = await people.links.invite(by(ada), "ws_1", "bob@example.com", Role.OWNER)
    later, token = await people.links.invite(by(ada), "ws_1", "Bob@example.com", Role.VIEWER)

    assert await people.links.of_workspace("ws_1") == [later]
    assert await people.links.find(earlier.reveal()) is None
    bob = await people.links.accept_invitation(token.reveal(), "Bob", Password(PASSWORD), "")
    assert await people.memberships.role("ws_1", bob.id) is Role.VIEWER


async def test_withdrawing(people: People, ada: Person) -> None:
    """A withdrawn invitation is good for nothing; that of another workspace isn't found."""
    invitation, token = await people.links.invite(by(ada), "ws_1", "bob@example.com", Role.OWNER)
    with pytest.raises(NotFound):
        await people.links.withdraw(by(ada), "ws_2", invitation.id)

    await people.links.withdraw(by(ada), "ws_1", invitation.id)

    assert await people.links.find(token.reveal()) is None
    assert (await actions(people))[:2] == ["invitation.withdraw", "invitation.create"]


@pytest.mark.parametrize(
    ("purpose", "hours"),
    [(LinkPurpose.SETUP, 24), (LinkPurpose.INVITATION, 7 * 24), (LinkPurpose.RECOVERY, 1)],
)
async def test_links_expire(
    people: People, clock: ManualClock, purpose: LinkPurpose, hours: int
) -> None:
    """A link is good until its lifetime is over, to the moment."""
    if purpose is LinkPurpose.SETUP:
        token = await people.links.new_setup()
    else:
        ada = await administrator(people)
        _, token = await people.links.invite(by(ada), "ws_1", "b@x", Role.VIEWER)
        if purpose is LinkPurpose.RECOVERY:
            token = await people.links.new_recovery(CONSOLE, ada.id)

    clock.pass_by(hours=hours, microseconds=-1)
    assert await people.links.find(token.reveal()) is not None
    clock.pass_by(microseconds=1)
    assert await people.links.find(token.reveal()) is None
    if purpose is LinkPurpose.INVITATION:
        assert await people.links.of_workspace("ws_1") == []
    with pytest.raises(LinkInvalid):
        await _accept(people, purpose, token.reveal())


async def _accept(people: People, purpose: LinkPurpose, token: str) -> Person:
    match purpose:
        case LinkPurpose.SETUP:
            return await people.links.accept_setup(
                token, "x@x", "X", Password(PASSWORD), ["ws_1"], ""
            )
        case LinkPurpose.INVITATION:
            return await people.links.accept_invitation(token, "X", Password(PASSWORD), "")
        case LinkPurpose.RECOVERY:
            return await people.links.accept_recovery(token, NEW_PASSWORD, "")


async def test_a_link_is_good_for_its_purpose_alone(people: People, ada: Person) -> None:
    """An invitation neither sets up the console nor recovers a password, nor the reverse."""
    _, invited = await people.links.invite(by(ada), "ws_1", "b@x", Role.VIEWER)
    recovery = await people.links.new_recovery(by(ada), ada.id)

    for purpose, token in [
        (LinkPurpose.SETUP, invited),
        (LinkPurpose.RECOVERY, invited),
        (LinkPurpose.SETUP, recovery),
        (LinkPurpose.INVITATION, recovery),
    ]:
        with pytest.raises(LinkInvalid):
            await _accept(people, purpose, token.reveal())
    assert await people.links.find(invited.reveal()) is not None
