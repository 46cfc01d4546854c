"""One-time links."""

from __future__ import annotations

import pytest

from gateway.console.people import (
    AlreadyMember,
    EmailTaken,
    FieldInvalid,
    IdentityTaken,
    LinkForAnother,
    LinkInvalid,
    LinkPurpose,
    Membership,
    NotFound,
    Password,
    People,
    Person,
    Role,
    WeakPassword,
)
from keyauthority.location import Location
from tests.console.people.parts import (
    CONSOLE,
    ISSUER,
    NEW_PASSWORD,
    PASSWORD,
    ManualClock,
    actions,
    administrator,
    by,
    identity,
    member,
    outcomes,
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


async def test_an_invitation_of_somebody_known(people: People, ada: Person) -> None:
    """Who has an account joins with it; an account of that address isn't made a second time."""
    bob = await member(people, ada, "bob@example.com")
    _, token = await people.links.invite(by(ada), "ws_2", "BOB@example.com", Role.OWNER)

    with pytest.raises(EmailTaken):
        await people.links.accept_invitation(token.reveal(), "Bob", Password(PASSWORD), "")
    await people.links.accept_invitation(token.reveal(), "", None, "", person_id=bob.id)

    assert await people.memberships.role("ws_2", bob.id) is Role.OWNER


async def test_an_invitation_of_another(people: People, ada: Person) -> None:
    """Who is signed in as somebody else can't use it, and it stays good for whom it is for."""
    bob = await member(people, ada, "bob@example.com")
    _, token = await people.links.invite(by(ada), "ws_2", "carol@example.com", Role.OWNER)

    with pytest.raises(LinkForAnother):
        await people.links.accept_invitation(token.reveal(), "", None, "", person_id=bob.id)

    assert await people.links.find(token.reveal()) is not None
    assert await people.memberships.role("ws_2", bob.id) is None


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


async def test_a_refused_form_keeps_the_link(people: People) -> None:
    """Whoever types something unfit tries again with the same link."""
    token = (await people.links.new_setup()).reveal()

    with pytest.raises(WeakPassword):
        await people.links.accept_setup(token, "a@x", "A", Password("short"), [], "")
    with pytest.raises(FieldInvalid):
        await people.links.accept_setup(token, "nobody", "A", Password(PASSWORD), [], "")

    await people.links.accept_setup(token, "a@x", "A", Password(PASSWORD), [], "")


async def test_recovery(people: People, ada: Person) -> None:
    """A recovery sets the password and ends all sessions; the old password is wrong from then on."""
    _, session = await people.sessions.begin(ada.id, "", "", "password")
    earlier = (await people.links.new_recovery(by(ada), ada.id)).reveal()
    token = (await people.links.new_recovery(by(ada), ada.id)).reveal()
    assert await people.links.find(earlier) is None

    assert await people.links.accept_recovery(token, NEW_PASSWORD, "192.0.2.9") == ada

    assert await people.sessions.find(session.reveal()) is None
    assert await people.accounts.check_password(ada.email, PASSWORD) is None
    assert await people.accounts.check_password(ada.email, NEW_PASSWORD) == ada
    with pytest.raises(LinkInvalid):
        await people.links.accept_recovery(token, PASSWORD, "")


async def test_an_identity_belongs_to_one(people: People) -> None:
    """Who signs in at the provider is one person: an account of theirs isn't made twice."""
    token = (await people.links.new_setup()).reveal()
    ada = await people.links.accept_setup(token, "a@x", "A", identity(), ["ws_1"], "")
    assert not ada.has_password
    assert await people.accounts.by_identity(ISSUER, "a") == ada
    _, invited = await people.links.invite(by(ada), "ws_1", "b@x", Role.VIEWER)

    with pytest.raises(IdentityTaken):
        await people.links.accept_invitation(invited.reveal(), "B", identity(), "")

    assert await people.accounts.by_email("b@x") is None


async def test_a_link_that_expires_meanwhile(
    people: People, ada: Person, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is when a link is used up that counts, not when its form was looked at."""
    _, invited = await people.links.invite(by(ada), "ws_1", "b@x", Role.VIEWER)

    async def hash_slowly(_: str) -> str:
        clock.pass_by(days=7)
        return "$"

    monkeypatch.setattr(people.links._passwords, "hash", hash_slowly)
    with pytest.raises(LinkInvalid):
        await people.links.accept_invitation(invited.reveal(), "B", Password(PASSWORD), "")

    assert await people.accounts.by_email("b@x") is None


async def test_an_administrator_who_comes_first(
    people: People, ada: Person, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who became administrator while a set-up form was handled is the only one."""
    await sql(location, "UPDATE people SET administrator = false")
    token = (await people.links.new_setup()).reveal()

    async def hash_slowly(_: str) -> str:
        await sql(location, "UPDATE people SET administrator = true")
        return "$"

    monkeypatch.setattr(people.links._passwords, "hash", hash_slowly)
    with pytest.raises(LinkInvalid):
        await people.links.accept_setup(token, "e@x", "E", Password(PASSWORD), [], "")

    assert await people.accounts.by_email("e@x") is None


async def test_a_setup_link_is_used_once(people: People, other: People) -> None:
    """Of two who accept the set-up at once, one becomes administrator."""
    token = (await people.links.new_setup()).reveal()

    results = await outcomes(
        *(
            books.links.accept_setup(token, f"{n}@x", "A", Password(PASSWORD), ["ws_1"], "")
            for n, books in enumerate([people, other] * 3)
        )
    )

    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, LinkInvalid) for result in results) == 5
    assert len(await people.accounts.page(10)) == 1


async def test_an_invitation_is_used_once(people: People, other: People, ada: Person) -> None:
    """Of two who accept an invitation at once, one becomes a member."""
    _, token = await people.links.invite(by(ada), "ws_1", "bob@example.com", Role.VIEWER)

    results = await outcomes(
        *(
            books.links.accept_invitation(token.reveal(), "Bob", Password(PASSWORD), "")
            for books in [people, other] * 3
        )
    )

    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, LinkInvalid) for result in results) == 5
    assert len(await people.memberships.of_workspace("ws_1")) == 2


async def test_a_recovery_is_used_once(people: People, other: People, ada: Person) -> None:
    """Of two who recover with one link at once, one sets the password."""
    token = (await people.links.new_recovery(by(ada), ada.id)).reveal()
    texts = [f"{n} green herons in a row" for n in range(6)]

    results = await outcomes(
        *(
            books.links.accept_recovery(token, text, "")
            for text, books in zip(texts, [people, other] * 3, strict=True)
        )
    )

    won = [text for text, result in zip(texts, results, strict=True) if isinstance(result, Person)]
    assert len(won) == 1
    assert await people.accounts.check_password(ada.email, won[0]) == ada
