"""What one-time links do, once."""

from __future__ import annotations

import asyncio

import pytest

from console.people import (
    EmailTaken,
    FieldInvalid,
    IdentityTaken,
    LinkForAnother,
    LinkInvalid,
    Password,
    People,
    Person,
    Role,
    WeakPassword,
)
from keyauthority.base.relational.location import Location
from tests.console.people.parts import (
    ISSUER,
    NEW_PASSWORD,
    PASSWORD,
    ManualClock,
    WatchedHasher,
    by,
    identity,
    member,
    opened,
    outcomes,
    sql,
)


async def test_an_invitation_of_somebody_known(people: People, ada: Person) -> None:
    """Who has an account joins with it; an account of that address isn't made a second time."""
    bob = await member(people, ada, "bob@example.com")
    await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
    _, token = await people.links.invite(by(ada), "ws_2", "BOB@example.com", Role.OWNER)

    with pytest.raises(EmailTaken):
        await people.links.accept_invitation(token.reveal(), "Bob", Password(PASSWORD), "")
    await people.links.accept_invitation(token.reveal(), "", None, "", person_id=bob.id)

    assert await people.memberships.role("ws_2", bob.id) is Role.OWNER


async def test_an_invitation_of_another(people: People, ada: Person) -> None:
    """Who is signed in as somebody else can't use it, and it stays good for whom it is for."""
    bob = await member(people, ada, "bob@example.com")
    await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
    _, token = await people.links.invite(by(ada), "ws_2", "carol@example.com", Role.OWNER)

    with pytest.raises(LinkForAnother):
        await people.links.accept_invitation(token.reveal(), "", None, "", person_id=bob.id)

    assert await people.links.find(token.reveal()) is not None
    assert await people.memberships.role("ws_2", bob.id) is None


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
    people: People, ada: Person, clock: ManualClock, location: Location
) -> None:
    """It is when a link is used up that counts, not when its form was looked at."""
    _, invited = await people.links.invite(by(ada), "ws_1", "b@x", Role.VIEWER)

    hasher = WatchedHasher()
    async with opened(location, clock, hasher=hasher) as slow:
        hasher.before_hashing = lambda: clock.pass_by(days=7)
        with pytest.raises(LinkInvalid):
            await slow.links.accept_invitation(invited.reveal(), "B", Password(PASSWORD), "")

    assert await people.accounts.by_email("b@x") is None


async def test_an_administrator_who_comes_first(
    people: People, ada: Person, clock: ManualClock, location: Location
) -> None:
    """Somebody who became administrator while a set-up form was handled is the only one."""
    await sql(location, "UPDATE people SET administrator = false")
    token = (await people.links.new_setup()).reveal()

    hasher = WatchedHasher()
    async with opened(location, clock, hasher=hasher) as slow:
        become = "UPDATE people SET administrator = true"
        hasher.before_hashing = lambda: asyncio.run(sql(location, become))
        with pytest.raises(LinkInvalid):
            await slow.links.accept_setup(token, "e@x", "E", Password(PASSWORD), [], "")

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
