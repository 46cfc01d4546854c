"""Sign-ins that last."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from console.people import Limit, NotFound, People, Person, Role
from keyauthority.base.relational.location import Location
from tests.console.people.parts import ManualClock, actions, by, member, opened, sql


async def test_a_session(people: People, ada: Person, clock: ManualClock) -> None:
    """A session is found by its token alone, with who it is and what is known of the browser."""
    session, token = await people.sessions.begin(ada.id, "192.0.2.7", "Firefox\x1b", "oidc")

    assert session.person == ada
    assert (session.address, session.user_agent) == ("192.0.2.7", "Firefox")
    assert session.expire_time - clock.time == timedelta(hours=12)
    assert len(token.reveal()) == 43
    assert await people.sessions.find(token.reveal()) == session
    assert await people.sessions.find(session.id) is None
    assert await people.sessions.find("") is None
    [event] = await people.history.page(limit=1)
    assert (event.action, event.subject, event.source) == (
        "session.begin",
        session.id,
        "192.0.2.7",
    )
    assert event.details == {"method": "oidc"}


async def test_nobody_has_no_session(people: People) -> None:
    """No session begins for somebody who isn't there."""
    with pytest.raises(NotFound):
        await people.sessions.begin("person_0", "", "", "password")


async def test_an_idle_session_ends(people: People, ada: Person, clock: ManualClock) -> None:
    """A session that isn't used for twelve hours is over; each use begins them anew."""
    _, token = await people.sessions.begin(ada.id, "", "", "password")

    clock.pass_by(hours=11)
    assert await people.sessions.find(token.reveal()) is not None
    clock.pass_by(hours=12, microseconds=-1)
    assert await people.sessions.find(token.reveal()) is not None
    clock.pass_by(hours=12)
    assert await people.sessions.find(token.reveal()) is None
    assert await people.sessions.of_person(ada.id) == []


async def test_a_session_ends_after_a_week(people: People, ada: Person, clock: ManualClock) -> None:
    """However much it is used, a session is over after seven days."""
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    for _ in range(7 * 4 - 1):
        clock.pass_by(hours=6)
        found = await people.sessions.find(token.reveal())
        assert found is not None
        assert found.expire_time - found.create_time <= timedelta(days=7)

    clock.pass_by(hours=6, microseconds=-1)
    assert await people.sessions.find(token.reveal()) is not None
    clock.pass_by(microseconds=1)
    assert await people.sessions.find(token.reveal()) is None


async def test_use_is_written_once_a_minute(
    people: People, other: People, ada: Person, clock: ManualClock
) -> None:
    """When a session was last used is known to the minute; within it nothing is written."""
    begun, token = await people.sessions.begin(ada.id, "", "", "password")
    clock.pass_by(seconds=59)
    assert await people.sessions.find(token.reveal()) == begun

    clock.pass_by(seconds=1)
    found = await people.sessions.find(token.reveal())

    assert found is not None
    assert found.last_seen_time == clock.time
    assert await other.sessions.of_person(ada.id) == [found]


async def test_an_ended_session_is_refused_at_once(
    people: People, other: People, ada: Person, clock: ManualClock
) -> None:
    """Once a session was ended in one process, no other takes its token, nor brings it back."""
    session, token = await people.sessions.begin(ada.id, "", "", "password")
    clock.pass_by(minutes=5)
    assert await other.sessions.find(token.reveal()) is not None

    await people.sessions.end(by(ada), ada.id, session.id)

    clock.pass_by(minutes=5)
    assert await other.sessions.find(token.reveal()) is None
    assert await people.sessions.of_person(ada.id) == []
    assert (await actions(people))[0] == "session.end"


async def test_a_session_of_another_is_not_found(people: People, ada: Person) -> None:
    """One ends one's own sessions: another's, and one that has ended, isn't there."""
    bob = await member(people, ada, "bob@example.com", Role.OWNER)
    session, token = await people.sessions.begin(ada.id, "", "", "password")
    with pytest.raises(NotFound):
        await people.sessions.end(by(bob), bob.id, session.id)
    assert await people.sessions.find(token.reveal()) is not None

    await people.sessions.end(by(ada), ada.id, session.id)

    with pytest.raises(NotFound):
        await people.sessions.end(by(ada), ada.id, session.id)


async def test_ending_the_others(people: People, ada: Person) -> None:
    """All of the person's sessions end but the one that is kept; those of others stay."""
    bob = await member(people, ada, "bob@example.com")
    kept, _ = await people.sessions.begin(ada.id, "", "", "password")
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    bobs, _ = await people.sessions.begin(bob.id, "", "", "password")

    assert await people.sessions.end_others(by(ada), ada.id, kept.id) == 1
    assert await people.sessions.end_others(by(ada), ada.id, kept.id) == 0

    assert await people.sessions.of_person(ada.id) == [kept]
    assert await people.sessions.of_person(bob.id) == [bobs]
    assert await people.sessions.find(token.reveal()) is None
    assert (await actions(people)).count("session.end_others") == 1


async def test_a_session_tells_what_its_person_is_now(people: People, ada: Person) -> None:
    """What is changed of a person holds for sessions that began before."""
    bob = await member(people, ada, "bob@example.com")
    _, token = await people.sessions.begin(bob.id, "", "", "password")

    await people.accounts.set_administrator(by(ada), bob.id, True)

    found = await people.sessions.find(token.reveal())
    assert found is not None
    assert found.person == replace(bob, administrator=True)


async def test_the_session_of_who_is_disabled(
    people: People, ada: Person, location: Location
) -> None:
    """A session that is there all the same is none."""
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    await sql(location, "UPDATE people SET disabled = true")

    assert await people.sessions.find(token.reveal()) is None
    assert await people.sessions.of_person(ada.id) == []


async def test_sweeping(
    people: People, ada: Person, clock: ManualClock, location: Location
) -> None:
    """What has ended is dropped, with what belongs to it; what lasts stays."""
    limits = [Limit("short", 1, timedelta(hours=1)), Limit("long", 1, timedelta(days=30))]
    await people.attempts.count(limits)
    old, _ = await people.sessions.begin(ada.id, "", "", "password")
    await people.submissions.begin(old.id, "r1", "create", "ws_1")
    await people.links.new_recovery(by(ada), ada.id)
    invitation, _ = await people.links.invite(by(ada), "ws_1", "bob@example.com", Role.OWNER)
    clock.pass_by(hours=12)
    kept, token = await people.sessions.begin(ada.id, "", "", "password")
    await people.submissions.begin(kept.id, "r1", "create", "ws_1")

    assert await people.sessions.sweep() == 3
    assert await people.sessions.sweep() == 0

    assert await people.sessions.find(token.reveal()) == kept
    assert await people.links.of_workspace("ws_1") == [invitation]
    for table, rows in [("sessions", 1), ("submissions", 1), ("links", 1), ("attempts", 1)]:
        assert await sql(location, f"SELECT count(*) FROM {table}") == [(rows,)], table


async def test_sweeping_after_a_week(
    people: People, ada: Person, clock: ManualClock, location: Location
) -> None:
    """A session that was used to its last moment is dropped too."""
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    for _ in range(15):
        clock.pass_by(hours=11)
        await people.sessions.find(token.reveal())
    clock.pass_by(hours=3)

    assert await people.sessions.sweep() == 1
    assert await sql(location, "SELECT count(*) FROM sessions") == [(0,)]


async def test_a_short_session_lasts_while_it_is_used(
    location: Location, people: People, ada: Person, clock: ManualClock
) -> None:
    """Even one that ends within a minute goes on as long as somebody uses it."""
    short = timedelta(seconds=30)
    async with opened(location, clock, idle=short) as books:
        _, token = await books.sessions.begin(ada.id, "", "", "password")
        for _ in range(4):
            clock.pass_by(seconds=20)
            assert await books.sessions.find(token.reveal()) is not None
        clock.pass_by(seconds=31)
        assert await books.sessions.find(token.reveal()) is None
