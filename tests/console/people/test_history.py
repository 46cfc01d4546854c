"""What people did in the console."""

from __future__ import annotations

import pytest

from console.people import Event, Origin, People, Person, Role
from tests.console.people.parts import ManualClock, by, member


async def test_an_event(people: People, ada: Person, clock: ManualClock) -> None:
    """What was done is kept with who did it, when, from where, and to what."""
    await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
    invitation, _ = await people.links.invite(by(ada), "ws_2", "zwei-💡@<b>.kr", Role.OWNER)

    [event] = await people.history.page(limit=1)

    assert event == Event(
        event.id,
        clock.time,
        ada.id,
        ada.email,
        "ws_2",
        "invitation.create",
        invitation.id,
        {"email": "zwei-💡@<b>.kr", "role": "owner"},
        "192.0.2.1",
    )


async def test_paging(people: People, ada: Person) -> None:
    """Events come newest first, page after page, none twice and none left out."""
    for n in range(5):
        await people.accounts.update(by(ada), ada.id, name=f"Ada {n}")

    first = await people.history.page(limit=4)
    second = await people.history.page(limit=4, before=first[-1].id)

    names = [event.details.get("name") for event in first + second]
    assert names == [f"Ada {n}" for n in reversed(range(5))] + [None, None]
    assert await people.history.page(limit=4, before=second[-1].id) == []


@pytest.fixture
async def happened(people: People, ada: Person, clock: ManualClock) -> People:
    """Ada was set up, invited Bob an hour later, who changed his name two hours later."""
    clock.pass_by(hours=1)
    bob = await member(people, ada, "bob@example.com", Role.VIEWER)
    clock.pass_by(hours=1)
    await people.accounts.update(by(bob), bob.id, name="Bobby")
    return people


async def found(people: People, **which: object) -> list[str]:
    events = await people.history.page(limit=100, **which)  # type: ignore[arg-type]
    return [event.action for event in events]


async def test_filters(happened: People, ada: Person, clock: ManualClock) -> None:
    """Events are asked for by workspace, person, action and time, and by several of them."""
    assert await found(happened, workspace_id="ws_1") == [
        "member.add",
        "invitation.create",
        "member.add",
    ]
    assert await found(happened, person_id=ada.id) == [
        "invitation.create",
        "member.add",
        "person.create",
    ]
    assert await found(happened, action="person.create") == ["person.create"] * 2
    assert await found(happened, action="person.create", person_id=ada.id) == ["person.create"]
    assert await found(happened, start=clock.time) == ["person.update"]
    assert len(await found(happened, end=clock.time)) == 5
    assert await found(happened, workspace_id="ws_2") == []


async def test_pruning(happened: People, clock: ManualClock) -> None:
    """What is older than 400 days is dropped; what comes after is numbered on."""
    last = (await happened.history.page(limit=1))[0]

    clock.pass_by(days=400)
    await happened.sessions.sweep()
    assert await found(happened) == ["person.update"]
    clock.pass_by(seconds=1)
    assert await happened.sessions.sweep() == 1
    assert await found(happened) == []

    await happened.accounts.update(Origin("", "", ""), last.person_id, name="Rob")
    [event] = await happened.history.page(limit=10)
    assert event.id > last.id
