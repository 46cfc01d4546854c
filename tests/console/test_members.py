"""The people of a workspace: invited, given another role, removed, and leaving by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.paths import url
from console.people import Person, Role
from tests.console.keys_in_it import acting_for, key_of, made_key, taken_over, told
from tests.console.living import invitation_path
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.processes import eventually


def members(cast: Cast) -> str:
    return url("members", workspace=cast.workspace)


def remove_path(cast: Cast, person: Person) -> str:
    return url("member_remove", workspace=cast.workspace, person=person.id)


def role_path(cast: Cast, person: Person) -> str:
    return url("member_role", workspace=cast.workspace, person=person.id)


def invited(cast: Cast, owner: Visitor, email: str, role: str = "member") -> Shown:
    action = url("invitations", workspace=cast.workspace)
    return owner.submit(owner.get(members(cast)), action, email=email, role=role)


def ticked(shown: Shown, path: str) -> list[str]:
    return [value for name, value in shown.form(path).fields if name == "revoke"]


async def test_an_invitation_is_shown_once_and_listed(cast: Cast) -> None:
    """The link is on the page that made it and on no other; the list has the address and the role."""
    owner = await cast.visitor(Role.OWNER)
    shown = invited(cast, owner, "new@example.com", "viewer")
    assert shown.status == 200
    assert "They join Acme as viewer" in shown.text
    path = invitation_path(shown, cast.console.url)
    assert shown.header("cache-control") == ["no-store"]
    listed = owner.get(members(cast))
    assert "new@example.com Viewer" in listed.text
    assert path not in listed.html
    assert "Join Acme" in cast.console.visitor().get(path).text


@pytest.mark.parametrize("email", ["", "no address", "a@b@c", "x" * 250 + "@example.com"])
async def test_what_is_no_address_is_said_beside_the_field(email: str, cast: Cast) -> None:
    """The form comes back with what was typed, and nobody is invited."""
    owner = await cast.visitor(Role.OWNER)
    shown = invited(cast, owner, email, "viewer")
    assert shown.status == 422
    assert "e-mail address" in shown.element("email-error")
    fields = shown.form(url("invitations", workspace=cast.workspace)).fields
    assert {("email", email), ("role", "viewer")} <= set(fields)
    assert await cast.books.links.of_workspace(cast.workspace) == []


async def test_a_member_is_not_invited_again(cast: Cast) -> None:
    """An address that is a member's, in whatever case, is said to be."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.VIEWER)
    shown = invited(cast, owner, person.email.upper())
    assert shown.status == 422
    assert "a member of the workspace already" in shown.element("email-error")


async def test_a_role_that_is_none_is_refused(cast: Cast) -> None:
    """Neither an invitation nor a change of role takes what isn't offered."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.VIEWER)
    assert invited(cast, owner, "new@example.com", "root").status == 422
    page = owner.get(members(cast))
    assert owner.submit(page, role_path(cast, person), role="root").status == 422
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.VIEWER


async def test_inviting_again_ends_the_earlier_link(cast: Cast) -> None:
    """Of two links for one address only the later works, with its own role."""
    owner = await cast.visitor(Role.OWNER)
    first = invitation_path(invited(cast, owner, "new@example.com", "owner"), cast.console.url)
    again = invitation_path(invited(cast, owner, "New@example.com", "viewer"), cast.console.url)
    assert cast.console.visitor().get(first).status == 404
    assert "as viewer" in cast.console.visitor().get(again).text
    assert len(await cast.books.links.of_workspace(cast.workspace)) == 1


async def test_a_withdrawn_invitation_no_longer_works(cast: Cast) -> None:
    """The link is none any more, the list has it no more, and withdrawing twice finds nothing."""
    owner = await cast.visitor(Role.OWNER)
    path = invitation_path(invited(cast, owner, "new@example.com"), cast.console.url)
    [one] = await cast.books.links.of_workspace(cast.workspace)
    action = url("invitation_withdraw", workspace=cast.workspace, invitation=one.id)
    page = owner.get(members(cast))
    done = owner.follow(owner.submit(page, action))
    assert "The invitation is withdrawn" in done.text
    assert "new@example.com" not in done.text
    assert cast.console.visitor().get(path).status == 404
    assert owner.submit(page, action).status == 404


async def test_another_role_holds_from_the_next_request_on(cast: Cast) -> None:
    """Who becomes a viewer creates no more keys; who becomes a member does."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    new = url("key_new", workspace=cast.workspace)
    assert browser.get(new).status == 200
    page = owner.get(members(cast))
    assert (
        "The role is changed"
        in owner.follow(owner.submit(page, role_path(cast, person), role="viewer")).text
    )
    assert browser.get(new).status == 403
    owner.submit(page, role_path(cast, person), role="member")
    assert browser.get(new).status == 200


async def test_the_last_owner_stays_one(cast: Cast) -> None:
    """The only owner is offered neither another role nor to leave, and is refused both by hand."""
    person = await cast.person(Role.OWNER)
    owner = await cast.signed_in(person)
    page = owner.get(members(cast))
    assert "the only owner" in page.text
    assert "Leave" not in page.text
    assert role_path(cast, person) not in page.html
    key_id, secret = made_key(cast, owner)
    csrf = dict(page.form(url("invitations", workspace=cast.workspace)).fields)["csrf"]
    demoted = owner.post(role_path(cast, person), {"csrf": csrf, "role": "viewer"})
    left = owner.post(remove_path(cast, person), {"csrf": csrf, "revoke": key_id})
    for shown in (demoted, left):
        assert shown.status == 422
        assert "A workspace always keeps one owner" in shown.text
    # The keys are looked after only when it is certain that the member goes.
    assert told(cast.console.edge, secret)[0] == 200
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.OWNER


async def test_one_of_two_owners_may_go(cast: Cast) -> None:
    """With another owner there, an owner leaves and finds the door shut."""
    await cast.person(Role.OWNER)
    person = await cast.person(Role.OWNER)
    browser = await cast.signed_in(person)
    path = remove_path(cast, person)
    left = browser.submit(browser.get(path), path)
    assert left.location == "/?done=left"
    assert "You have left the workspace" in browser.follow(left).text
    assert browser.get(members(cast)).status == 404


async def test_invitations_are_for_owners(cast: Cast) -> None:
    """Members and viewers see who is there, but neither who is invited nor a form."""
    await cast.books.links.invite(NOBODY, cast.workspace, "secretly@example.com", Role.OWNER)
    person = await cast.person(Role.OWNER)
    for role in (Role.MEMBER, Role.VIEWER):
        shown = (await cast.visitor(role)).get(members(cast))
        assert person.email in shown.text
        assert "secretly@example.com" not in shown.text
        assert "Invite somebody" not in shown.text
        assert url("invitations", workspace=cast.workspace) not in shown.html


async def test_a_removed_members_keys_are_looked_at_first(cast: Cast) -> None:
    """Their acting keys are listed; the ticked ones are refused afterwards, and the others not."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    theirs = await cast.signed_in(person)
    goes, goes_secret = made_key(cast, theirs, "goes")
    stays, stays_secret = made_key(cast, theirs, "stays")
    dead, _ = made_key(cast, theirs, "dead already")
    cast.console.edge.operator.revoke(dead)
    _, mine_secret = made_key(cast, owner, "mine")
    path = remove_path(cast, person)
    page = owner.get(path)
    assert set(ticked(page, path)) == {goes, stays}
    assert told(cast.console.edge, goes_secret)[0] == 200
    done = owner.submit(page, path, revoke=[goes])
    assert f"{person.name} is removed" in done.text
    assert "Stopped everywhere in" in done.text
    assert "whose secret they were shown Whoever" in done.text
    assert done.text.index("goes") < done.text.index("still work") < done.text.index("stays")
    assert told(cast.console.edge, goes_secret)[0] == 401
    assert told(cast.console.edge, stays_secret)[0] == 200
    assert told(cast.console.edge, mine_secret)[0] == 200
    assert theirs.get(members(cast)).status == 404
    note = key_of(cast.console.edge, goes).revocation_note
    assert note == f"{person.email} was removed from the workspace"


async def test_keys_of_others_are_not_revoked_with_a_member(cast: Cast) -> None:
    """Ids that the page didn't offer are ignored: an owner's own, a foreign one, and nonsense."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    mine, _ = made_key(cast, owner, "mine")
    foreign, _ = cast.console.edge.operator.issue(cast.console.edge.operator.workspace("foreign"))
    path = remove_path(cast, person)
    page = owner.get(path)
    assert "They were shown no secret of a key that still works" in page.text
    done = owner.submit(page, path, revoke=[mine, foreign.id, "key_" + "0" * 16, "<b>"])
    assert done.status == 200
    assert "No key was revoked" in done.text
    assert not cast.console.edge.operator.is_revoked(mine)
    assert not cast.console.edge.operator.is_revoked(foreign.id)


async def test_who_leaves_takes_their_keys_along(cast: Cast) -> None:
    """A member who leaves revokes what is ticked, and the key says why."""
    await cast.person(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key_id, secret = made_key(cast, browser)
    path = remove_path(cast, person)
    assert browser.submit(browser.get(path), path).location == "/?done=left"
    assert told(cast.console.edge, secret)[0] == 401
    assert key_of(cast.console.edge, key_id).revocation_note.endswith("left the workspace")


async def test_a_viewer_who_leaves_revokes_nothing(cast: Cast) -> None:
    """Who made a key as a member and is a viewer now is told of it, and can't revoke it."""
    await cast.person(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key_id, _ = made_key(cast, browser)
    await cast.books.memberships.set_role(NOBODY, cast.workspace, person.id, Role.VIEWER)
    path = remove_path(cast, person)
    page = browser.get(path)
    assert "As a viewer you can’t revoke it" in page.text
    assert ticked(page, path) == []
    assert browser.submit(page, path, revoke=key_id).location == "/?done=left"
    assert not cast.console.edge.operator.is_revoked(key_id)


async def test_only_owners_remove_others(cast: Cast) -> None:
    """A member neither opens the page for somebody else nor sends its form."""
    browser = await cast.visitor(Role.MEMBER)
    person = await cast.person(Role.VIEWER)
    assert browser.get(remove_path(cast, person)).status == 403
    own = browser.get("/account").form("/account")
    csrf = dict(own.fields)["csrf"]
    assert browser.post(remove_path(cast, person), {"csrf": csrf}).status == 403
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.VIEWER


@pytest.fixture
def away(cast: Cast) -> Iterator[None]:
    """The authority comes back when the test is over."""
    edge = cast.console.edge
    yield
    edge.recover_authority()
    visitor = cast.console.visitor()
    eventually("the console is ready", lambda: visitor.get("/readyz").status == 200)


@pytest.mark.usefixtures("away")
async def test_while_the_authority_is_away_nobody_is_removed(cast: Cast) -> None:
    """The form comes back with the same keys ticked, and sent again it does what was asked."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    theirs = await cast.signed_in(person)
    goes, goes_secret = made_key(cast, theirs, "goes")
    stays, _ = made_key(cast, theirs, "stays")
    path = remove_path(cast, person)
    page = owner.get(path)
    edge = cast.console.edge
    edge.authority.stop()
    shown = owner.submit(page, path, revoke=[goes])
    assert shown.status == 503
    assert "The key authority doesn’t answer" in shown.text
    assert "created no key" not in shown.text
    assert ticked(shown, path) == [goes]
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.MEMBER
    edge.recover_authority()
    eventually("the console is ready", lambda: owner.get("/readyz").status == 200)
    assert owner.submit(shown, path).status == 200
    assert edge.operator.verify(goes_secret) == "VERDICT_REVOKED"
    assert not edge.operator.is_revoked(stays)
    assert await cast.books.memberships.role(cast.workspace, person.id) is None


async def test_keys_that_the_operator_took_over_are_nobodys(cast: Cast) -> None:
    """What was imported from outside the console isn't listed with a member."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    taken_over(cast.console.edge, cast.workspace, ["from elsewhere"])
    assert "from elsewhere" not in owner.get(remove_path(cast, person)).text


async def test_a_thousand_keys_are_revoked_with_a_member_and_the_rest_is_told(cast: Cast) -> None:
    """As many as go at once, newest first; the page says that there are more, and then which."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    oldest, _ = made_key(cast, owner, "the oldest")
    path = url("key_rotate", workspace=cast.workspace, key=oldest)
    browser.submit(browser.get(path), path, overlap="0")
    names = [f"key {number:04}" for number in range(1_000)]
    metadata = acting_for(cast, person)
    taken_over(cast.console.edge, cast.workspace, names, metadata=metadata)
    path = remove_path(cast, person)
    page = owner.get(path)
    assert len(ticked(page, path)) == 1_000
    assert oldest not in ticked(page, path)
    assert "only the newest 1,000 were looked at" in page.text
    done = owner.submit(page, path)
    assert done.status == 200
    assert "the oldest" in done.text.partition("Keys that still work")[2]
    assert not cast.console.edge.operator.is_revoked(oldest)


async def test_keys_whose_secret_they_saw_by_rotating_are_looked_at_too(cast: Cast) -> None:
    """As long as that secret lives: once somebody else has replaced it, the key is left alone."""
    owner = await cast.visitor(Role.OWNER)
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    seen, _ = made_key(cast, owner, "seen by rotating")
    since, _ = made_key(cast, owner, "replaced since")
    for key_id in (seen, since):
        path = url("key_rotate", workspace=cast.workspace, key=key_id)
        browser.submit(browser.get(path), path, overlap="0")
    path = url("key_rotate", workspace=cast.workspace, key=since)
    owner.submit(owner.get(path), path, overlap="0")
    page = owner.get(remove_path(cast, person))
    assert ticked(page, remove_path(cast, person)) == [seen]
    done = owner.submit(page, remove_path(cast, person))
    assert "Stopped everywhere" in done.text
    assert cast.console.edge.operator.is_revoked(seen)
    assert not cast.console.edge.operator.is_revoked(since)
