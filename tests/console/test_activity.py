"""Who did what: the audit of keys and the history of people, filtered and a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from console import activity_entries
from console.paths import url
from console.people import Role
from keyauthority.client.admin import Action
from keyauthority.v1 import key_pb2
from keyauthority.v1 import key_service_pb2 as keys_v1
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from tests.conformance.records import an_entry
from tests.console.keys_in_it import made_key, taken_over
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor


def activity(cast: Cast, browser: Visitor, **filters: str) -> Shown:
    query = urlencode({name.rstrip("_"): value for name, value in filters.items()})
    return browser.get(url("activity", workspace=cast.workspace) + "?" + query)


def entries(shown: Shown) -> list[str]:
    """Each entry as people read it, without its moment and its details."""
    told = []
    for entry in [one for log in shown.page.all("ol") for one in log.all("li")]:
        [what] = [one for one in entry.all("div") if one.all("details")]
        told.append(what.text.removesuffix(what.one("details").text).strip())
    return told


def next_page(browser: Visitor, shown: Shown) -> Shown | None:
    links = shown.page.all("a", rel="next")
    return browser.get(links[0].attributes["href"]) if links else None


def all_pages(browser: Visitor, shown: Shown | None) -> list[str]:
    found: list[str] = []
    while shown is not None:
        assert shown.status == 200
        page = entries(shown)
        assert 1 <= len(page) <= 50
        found += page
        shown = next_page(browser, shown)
    return found


async def test_what_is_done_in_the_console_is_told_with_who_did_it(cast: Cast) -> None:
    """The person's address, the words, the key's name, and through which program it went."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key_id, _ = made_key(cast, browser, "billing")
    href = url("key_pause", workspace=cast.workspace, key=key_id)
    browser.submit(browser.get(url("key", workspace=cast.workspace, key=key_id)), href)
    shown = activity(cast, browser)
    assert entries(shown)[:2] == [
        f"{person.email} paused the key billing",
        f"{person.email} created the key billing",
    ]
    assert "Through console " in shown.text
    assert url("key", workspace=cast.workspace, key=key_id) in shown.html
    assert "paused or not" not in shown.text


@pytest.mark.parametrize(
    ("fact", "details", "told"),
    [
        ("KEY_RENAMED", {"from": "a", "to": "b"}, "renamed the key from a to"),
        ("KEY_RENAMED", {"fields": "name"}, "renamed the key"),
        ("KEY_EXPIRY_CHANGED", {"from": "never", "to": "never"}, "changed the expiry of the key"),
        ("KEY_SCOPES_CHANGED", {}, "changed the scopes of the key"),
        ("KEY_CHANGED", {"fields": "name,scopes"}, "changed the key"),
        ("KEY_PAUSED", {"from": "false", "to": "true"}, "paused the key"),
        ("KEY_RESUMED", {"from": "true", "to": "false"}, "resumed the key"),
        ("WORKSPACE_SUSPENDED", {"suspended": "true"}, "suspended the workspace"),
        ("WORKSPACE_RENAMED", {"from": "a", "to": "b"}, "renamed the workspace from a to"),
        ("WORKSPACE_CHANGED", {"suspended": "false"}, "renamed or resumed the workspace"),
        ("KEY_REVOKED", {"reason": "policy"}, "revoked the key"),
        ("KEY_REVOKED", {"by_secret": "true"}, "revoked the key by its secret"),
        ("OTHER", {"fields": "name"}, "KeyService.NoSuchThing"),
    ],
)
def test_a_change_is_told_by_what_was_changed(
    fact: str, details: dict[str, str], told: str
) -> None:
    """As exactly as the entry tells, and no more."""
    entry = an_entry(action=Action[fact], method="KeyService.NoSuchThing", details=details)
    assert activity_entries.sentence(entry) == told


def test_there_are_words_for_all_that_happens_in_a_workspace() -> None:
    """Nothing is told by the name of a method, and all of it can be chosen."""
    names = [action.name.lower() for action in Action]
    happens = {one for one in names if one.startswith(("key_", "workspace_", "credits_"))}
    assert activity_entries.KEYS.keys() == happens
    chosen = filter(None, map(activity_entries.action_of, happens))
    assert {action.name.lower() for action in chosen} == happens


async def test_the_old_and_the_new_value_are_told(cast: Cast) -> None:
    """Names in the sentence, the rest in the details, in the reader's words and zone."""
    browser = await cast.visitor(Role.MEMBER)
    operator = cast.console.edge.operator
    key, _ = operator.issue(cast.workspace)
    stub = KeyServiceStub(operator.channel)
    changed = key_pb2.Key(id=key.id, name="deploy", scopes=["read"], labels={"b": "1", "a": "2"})
    changed.expire_time.FromJsonString("2031-01-31T12:30:00Z")
    request = keys_v1.UpdateKeyRequest(key=changed)
    stub.UpdateKey(request, metadata=operator.metadata, timeout=10)
    day = keys_v1.RotateKeyRequest(key_id=key.id)
    day.overlap.FromSeconds(86_400)
    stub.RotateKey(day, metadata=operator.metadata, timeout=10)

    shown = activity(cast, browser)

    assert entries(shown)[:5] == [
        "root rotated the key deploy",
        "root changed the labels of the key deploy",
        "root changed the scopes of the key deploy",
        "root changed the expiry of the key deploy",
        "root renamed the key from test to deploy",
    ]
    for told in (
        "The old secret ends after 24 hours",
        "Before none After a=2, b=1",
        "Before full access After read",
        "Before never After 31 Jan 2031, 12:30 UTC",
    ):
        assert told in shown.text


async def test_where_the_console_stands_is_nowhere_that_people_came_from(cast: Cast) -> None:
    """What went through the console has no address; what the operator did himself has."""
    browser = await cast.visitor(Role.OWNER)
    key_id, _ = made_key(cast, browser)
    assert "ipv4:" not in activity(cast, browser, subject=key_id).text
    taken_over(cast.console.edge, cast.workspace, ["from elsewhere"])
    assert "From ipv4:127.0.0.1" in activity(cast, browser, action="key_imported").text


async def test_what_others_did_shows_up_too(cast: Cast) -> None:
    """A revocation by the operator, and one by the secret itself, without anybody's address."""
    browser = await cast.visitor(Role.VIEWER)
    operator = cast.console.edge.operator
    first, _ = operator.issue(cast.workspace)
    operator.revoke(first.id)
    _, secret = operator.issue(cast.workspace)
    stub = VerificationServiceStub(operator.channel)
    request = verification.RevokePresentedRequest(secret=secret, note="found on the street")
    stub.RevokePresented(request, metadata=operator.metadata, timeout=10)
    shown = activity(cast, browser)
    assert entries(shown)[0] == "root revoked the key by its secret test"
    assert "found on the street" in shown.text
    assert "It leaked, or may have" in shown.text
    assert "root revoked the key test" in entries(shown)


async def test_filters_alone_and_together(cast: Cast) -> None:
    """By person, by action, by key, and by all of them at once; the form shows what was chosen."""
    one, two = await cast.person(Role.MEMBER), await cast.person(Role.MEMBER)
    first, second = await cast.signed_in(one), await cast.signed_in(two)
    a, _ = made_key(cast, first, "a")
    b, _ = made_key(cast, second, "b")
    for browser, key_id in ((first, a), (first, b), (second, b)):
        page = browser.get(url("key", workspace=cast.workspace, key=key_id))
        path = url("key_pause", workspace=cast.workspace, key=key_id)
        state = "resume" if path not in page.html else "pause"
        browser.submit(page, url(f"key_{state}", workspace=cast.workspace, key=key_id))
    changed = "key_paused"
    assert all(one.email in text for text in entries(activity(cast, first, person=one.id)))
    assert len(entries(activity(cast, first, person=one.id))) == 3
    assert len(entries(activity(cast, first, action=changed))) == 2
    assert len(entries(activity(cast, first, action="key_resumed"))) == 1
    assert len(entries(activity(cast, first, subject=b))) == 3
    every = {"person": one.id, "action": changed, "subject": b}
    shown = activity(cast, first, **every)
    assert entries(shown) == [f"{one.email} paused the key b"]
    form = shown.form(url("activity", workspace=cast.workspace))
    assert set(every.items()) <= set(form.fields)


async def test_days_are_those_of_the_reader(cast: Cast) -> None:
    """A day begins and ends where the person lives, not where the server is."""
    person = await cast.person(Role.MEMBER)
    now = datetime.now(UTC)
    # Whatever time it is, in one of the two it is another day than in UTC.
    zone = "Pacific/Kiritimati" if now.hour >= 11 else "Pacific/Pago_Pago"
    await cast.books.accounts.update(NOBODY, person.id, time_zone=zone)
    browser = await cast.signed_in(person)
    made_key(cast, browser, "today")
    here = now.astimezone(ZoneInfo(zone)).date()
    today, tomorrow = here.isoformat(), (here + timedelta(days=1)).isoformat()
    yesterday = (here - timedelta(days=1)).isoformat()
    made = f"{person.email} created the key today"
    for shown in (
        activity(cast, browser, from_=today, to=today),
        activity(cast, browser, from_=yesterday, to=tomorrow),
        activity(cast, browser, from_=today),
        activity(cast, browser, to=today),
    ):
        assert made in entries(shown)
    for shown in (
        activity(cast, browser, from_=tomorrow),
        activity(cast, browser, to=yesterday),
        activity(cast, browser, from_=yesterday, to=yesterday),
    ):
        assert entries(shown) == []
        assert "Nothing here" in shown.text


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "31.12.2026"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "0000-00-00"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
    ],
)
@pytest.mark.parametrize("tab", ["keys", "people"])
async def test_what_is_no_day_is_said_beside_it(
    filters: dict[str, str], field: str, tab: str, cast: Cast
) -> None:
    """The error is tied to its field, and what was typed stays there; nothing is listed."""
    browser = await cast.visitor(Role.VIEWER)
    shown = activity(cast, browser, tab=tab, **filters)
    assert shown.status == 422
    assert f'aria-describedby="{field}-error"' in shown.html
    assert shown.element(f"{field}-error").strip()
    assert (
        filters[field]
        in dict(shown.form(url("activity", workspace=cast.workspace)).fields).values()
    )
    assert entries(shown) == []
    assert "Nothing here" not in shown.text


async def test_keys_come_a_page_at_a_time_without_gap_or_repeat(cast: Cast) -> None:
    """All of 120 are there, once each, newest first, and filters hold on every page."""
    browser = await cast.visitor(Role.VIEWER)
    names = [f"key {number:03}" for number in range(120)]
    taken_over(cast.console.edge, cast.workspace, names)
    first = activity(cast, browser, action="key_imported")
    assert len(entries(first)) == 50
    shown = all_pages(browser, first)
    assert shown == [f"root imported the key {name}" for name in reversed(names)]


async def test_people_come_a_page_at_a_time_without_gap_or_repeat(cast: Cast) -> None:
    """The same for invitations."""
    person = await cast.person(Role.OWNER)
    browser = await cast.signed_in(person)
    for number in range(101):
        address = f"guest{number:03}@example.com"
        await cast.books.links.invite(NOBODY, cast.workspace, address, Role.VIEWER)
    first = activity(cast, browser, tab="people", action="invitation.create")
    shown = all_pages(browser, first)
    guests = [f"the console invited guest{number:03}@example.com" for number in range(101)]
    assert shown[:101] == list(reversed(guests))


@pytest.mark.parametrize(
    "filters",
    [
        {"before": "nonsense"},
        {"before": "AAAA"},
        {"tab": "people", "before": "-1"},
        {"tab": "people", "before": "9" * 40},
        {"tab": "people", "before": "²"},
    ],
)
async def test_a_broken_page_is_no_fault(filters: dict[str, str], cast: Cast) -> None:
    """What is no place in the list is said to be none."""
    browser = await cast.visitor(Role.VIEWER)
    shown = activity(cast, browser, **filters)
    assert shown.status == 422
    assert "This part of the list is no longer there" in shown.text


@pytest.mark.parametrize("tab", ["keys", "people", "nonsense"])
async def test_filters_that_cannot_be_chosen_are_harmless(tab: str, cast: Cast) -> None:
    """Unknown people, actions and keys, and characters that no database takes, are no fault."""
    browser = await cast.visitor(Role.VIEWER)
    for name in ("person", "action", "subject"):
        for value in ("nonsense", "\0", "%", "'", "x" * 5_000, "\N{SNOWMAN}"):
            assert activity(cast, browser, tab=tab, **{name: value}).status == 200


async def test_what_people_did_is_told_by_their_addresses(cast: Cast) -> None:
    """Joining, leaving, other roles and invitations, with no id that says nothing."""
    owner = await cast.person(Role.OWNER)
    browser = await cast.signed_in(owner)
    person = await cast.person(Role.VIEWER)
    page = browser.get(url("members", workspace=cast.workspace))
    role = url("member_role", workspace=cast.workspace, person=person.id)
    browser.submit(page, role, role="member")
    invite = url("invitations", workspace=cast.workspace)
    browser.submit(page, invite, email="guest@example.com", role="viewer")
    remove = url("member_remove", workspace=cast.workspace, person=person.id)
    browser.submit(browser.get(remove), remove)
    shown = activity(cast, browser, tab="people")
    assert entries(shown)[:3] == [
        f"{owner.email} removed {person.email}",
        f"{owner.email} invited guest@example.com",
        f"{owner.email} changed the role of {person.email}",
    ]
    assert f"{person.email} joined" in entries(shown)
    assert "Role Member" in shown.text
    # Who is gone can still be asked for.
    gone = activity(cast, browser, tab="people", person=person.id)
    assert entries(gone) == [f"{person.email} joined"]


async def test_nothing_of_other_workspaces_is_told(cast: Cast) -> None:
    """Neither the list, nor a filter by a foreign key or person, shows what is done elsewhere."""
    operator = cast.console.edge.operator
    stranger = await cast.person()
    elsewhere = operator.workspace("Elsewhere")
    await cast.books.memberships.add(NOBODY, elsewhere, stranger.id, Role.OWNER)
    foreign = Cast(cast.console, cast.books, elsewhere)
    key_id, _ = made_key(foreign, await cast.signed_in(stranger), "their key")
    await cast.books.links.invite(NOBODY, elsewhere, "their.guest@example.com", Role.VIEWER)
    browser = await cast.visitor(Role.OWNER)
    for filters in ({}, {"subject": key_id}, {"person": stranger.id}, {"subject": elsewhere}):
        for tab in ("keys", "people"):
            shown = activity(cast, browser, tab=tab, **filters)
            for secret in ("their key", "their.guest", stranger.email, "Elsewhere"):
                assert secret not in shown.html
    assert entries(activity(cast, browser, subject=key_id)) == []


async def test_who_is_invited_and_from_where_people_come_is_for_owners(cast: Cast) -> None:
    """A viewer sees who joined, and neither open invitations nor anybody's address."""
    owner, viewer = await cast.visitor(Role.OWNER), await cast.visitor(Role.VIEWER)
    place = url("members", workspace=cast.workspace)
    action = url("invitations", workspace=cast.workspace)
    owner.submit(owner.get(place), action, email="secret.guest@example.com", role="owner")
    person = await cast.person(Role.MEMBER)
    change = url("member_role", workspace=cast.workspace, person=person.id)
    owner.submit(owner.get(place), change, role="viewer")
    told = activity(cast, owner, tab="people")
    assert "secret.guest@example.com" in told.text
    assert "From 127.0.0.1" in told.text
    shown = activity(cast, viewer, tab="people")
    assert "joined" in shown.text
    assert "changed the role of" in shown.text
    assert "secret.guest@example.com" not in shown.html
    assert "invitation." not in shown.html
    assert "From 127.0.0.1" not in shown.text


async def test_a_page_of_invitations_hides_nothing_behind_it(cast: Cast) -> None:
    """However many there are, others than owners are shown what else was done, a page at a time."""
    person = await cast.person(Role.VIEWER)
    browser = await cast.signed_in(person)
    for number in range(60):
        address = f"guest{number:03}@example.com"
        await cast.books.links.invite(NOBODY, cast.workspace, address, Role.VIEWER)
    shown = activity(cast, browser, tab="people")
    assert entries(shown) == [f"{person.email} joined"]
    assert next_page(browser, shown) is None


async def test_others_than_owners_turn_the_pages_of_people(cast: Cast) -> None:
    """Roles that were changed between invitations are all there, once each."""
    browser, person = await cast.visitor(Role.VIEWER), await cast.person(Role.VIEWER)
    for number in range(60):
        role = Role.MEMBER if number % 2 == 0 else Role.VIEWER
        await cast.books.memberships.set_role(NOBODY, cast.workspace, person.id, role)
        address = f"guest{number:03}@example.com"
        await cast.books.links.invite(NOBODY, cast.workspace, address, Role.VIEWER)
    first = activity(cast, browser, tab="people")
    assert len(entries(first)) == 50
    found = all_pages(browser, first)
    assert found[:60] == [f"the console changed the role of {person.email}"] * 60
    assert len(found) == 62


async def test_a_secret_where_a_keys_id_goes_is_kept_by_no_address(cast: Cast) -> None:
    """Its key is found in the list by how the secret begins, and by how the one before it did."""
    browser = await cast.visitor(Role.MEMBER)
    key_id, secret = made_key(cast, browser, "leaking")
    rotate = url("key_rotate", workspace=cast.workspace, key=key_id)
    browser.submit(browser.get(rotate), rotate, overlap="24h")
    for page, query in (("activity", "subject"), ("keys", "q")):
        long = "x" * 110
        for pasted in (secret, f'export OPENTOKEN_API_KEY="{secret}"', f"{long} {secret}"):
            shown = browser.get(
                f"{url(page, workspace=cast.workspace)}?{urlencode({query: pasted})}"
            )
            assert shown.status == 303
            assert secret not in shown.location
            found = browser.follow(shown)
            assert secret not in found.html
            assert url("key", workspace=cast.workspace, key=key_id) in found.html


async def test_a_secret_that_was_searched_for_is_in_no_sign_in_address(cast: Cast) -> None:
    """Also where the sign-in had ended meanwhile: one comes back to the page, without it."""
    browser = await cast.visitor(Role.MEMBER)
    _, secret = made_key(cast, browser, "leaking")
    place = url("keys", workspace=cast.workspace)
    shown = cast.console.visitor().get(f"{place}?{urlencode({'q': secret})}")
    assert shown.status == 303
    assert secret not in shown.location
    assert shown.location.endswith(urlencode({"next": place}))
