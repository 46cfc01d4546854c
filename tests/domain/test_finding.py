"""Finding keys, within what the asker may see."""

from __future__ import annotations

import pytest

from keyauthority.domain import secrets
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import KeyState, RevocationReason
from keyauthority.domain.repositories import Cursor, KeyFilter
from tests.conformance.records import SECOND, ManualClock
from tests.domain.parts import UseCases, an_actor, an_update

NO_REASON = RevocationReason.UNSPECIFIED


async def ids(
    cases: UseCases,
    actor: Actor,
    workspace_id: str = "",
    state: KeyState | None = None,
    name: str = "",
    limit: int = 10,
    after: Cursor | None = None,
) -> list[str]:
    which = KeyFilter((workspace_id,) if workspace_id else None, state, name)
    page = await cases.finding.page(actor, which, limit, after)
    return [key.id for key in page]


async def refused(cases: UseCases, actor: Actor, key_id: str) -> list[KeyAuthorityError]:
    """What each thing that can be done with a key gives."""
    fields = an_update(name="other")
    attempts = [
        cases.finding.get(actor, key_id),
        cases.rotate(actor, key_id),
        cases.updating.update(actor, key_id, fields, ""),
        cases.revoking.revoke(actor, [key_id], NO_REASON, ""),
    ]
    refusals = []
    for attempt in attempts:
        with pytest.raises(KeyAuthorityError) as caught:
            await attempt
        refusals.append(caught.value)
    return refusals


async def test_a_bound_issuer_and_the_keys_of_others(cases: UseCases, actor: Actor) -> None:
    """They are not found, exactly as if they did not exist, whatever it tries."""
    bound = an_actor("ws_1")
    key_id, _ = await cases.issue(actor, "ws_2")

    theirs = await refused(cases, bound, key_id)
    nobodys = await refused(cases, actor, secrets.new_id("key"))

    assert {error.reason for error in theirs + nobodys} == {Reason.KEY_NOT_FOUND}
    assert {error.message for error in theirs + nobodys} == {"no such key"}
    assert {error.metadata["key_id"] for error in theirs} == {key_id}
    assert (await cases.finding.get(actor, key_id)).version == 1


async def test_a_bound_issuer_and_its_own_keys(cases: UseCases) -> None:
    """Within its workspaces it does all there is to do."""
    bound = an_actor("ws_1", "ws_2")
    key_id, secret = await cases.issue(bound, "ws_2")

    assert (await cases.finding.lookup(bound, secret)).id == key_id
    await cases.rotate(bound, key_id)
    await cases.revoking.revoke(bound, [key_id], NO_REASON, "")
    assert (await cases.finding.get(bound, key_id)).revocation is not None


async def test_a_bound_issuer_issues_nowhere_else(cases: UseCases) -> None:
    """A workspace beyond its own is one that does not exist."""
    for actor, workspace_id in ((an_actor("ws_1"), "ws_2"), (an_actor(), "ws_none")):
        with pytest.raises(KeyAuthorityError) as caught:
            await cases.issue(actor, workspace_id)
        assert caught.value.reason is Reason.WORKSPACE_NOT_FOUND
        assert caught.value.message == "no such workspace"


async def test_listing_what_may_be_seen(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """Of all workspaces or of one, newest first, never beyond the bound."""
    issued = []
    for workspace_id in ("ws_1", "ws_2", "ws_1"):
        issued.append((await cases.issue(actor, workspace_id))[0])
        clock.time += SECOND
    first, second, third = issued

    assert await ids(cases, actor) == [third, second, first]
    assert await ids(cases, actor, "ws_1") == [third, first]
    assert await ids(cases, an_actor("ws_1")) == [third, first]
    assert await ids(cases, an_actor("ws_2", "ws_1")) == [third, second, first]
    for asker, workspace_id in ((an_actor("ws_1"), "ws_2"), (actor, "ws_none")):
        with pytest.raises(KeyAuthorityError) as caught:
            await ids(cases, asker, workspace_id)
        assert caught.value.reason is Reason.WORKSPACE_NOT_FOUND


async def test_listing_by_state_and_name(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """The filters narrow it down, and pages go on where the last one ended."""
    active, _ = await cases.issue(actor, name="Billing of acme")
    clock.time += SECOND
    expired, _ = await cases.issue(actor, name="billing, old", ttl=SECOND)
    clock.time += SECOND
    revoked, _ = await cases.issue(actor, name="gateway")
    await cases.revoking.revoke(actor, [revoked], NO_REASON, "")

    assert await ids(cases, actor, state=KeyState.ACTIVE) == [active]
    assert await ids(cases, actor, state=KeyState.EXPIRED) == [expired]
    assert await ids(cases, actor, state=KeyState.REVOKED) == [revoked]
    assert await ids(cases, actor, name="BILLING") == [expired, active]
    [newest] = await cases.finding.page(actor, KeyFilter(), 1, None)
    assert await ids(cases, actor, after=(newest.create_time, newest.id)) == [expired, active]


async def test_a_name_too_long_to_look_for(cases: UseCases, actor: Actor) -> None:
    """No name is that long."""
    with pytest.raises(KeyAuthorityError) as caught:
        await ids(cases, actor, name="x" * 101)

    assert caught.value.metadata == {"field": "name_contains"}


async def test_whose_secret_is_this(cases: UseCases, actor: Actor) -> None:
    """Live, retired or of a revoked key: it leads to its key."""
    key_id, old = await cases.issue(actor)
    _, new = await cases.rotate(actor, key_id)
    await cases.revoking.revoke(actor, [key_id], NO_REASON, "")

    for secret in (old, new):
        assert (await cases.finding.lookup(actor, secret)).id == key_id


async def test_a_secret_that_leads_nowhere(cases: UseCases, actor: Actor) -> None:
    """A wrong one of a key, one of no key and one of another's are the same: not found."""
    key_id, _ = await cases.issue(actor)
    _, others = await cases.issue(actor, "ws_2")
    wrong = secrets.mint(key_id).reveal()
    unknown = secrets.mint(secrets.new_id("key")).reveal()

    for secret in (wrong, unknown, others):
        with pytest.raises(KeyAuthorityError) as caught:
            await cases.finding.lookup(an_actor("ws_1"), secret)
        error = caught.value
        assert (error.reason, error.message) == (Reason.KEY_NOT_FOUND, "no such key")
        assert error.metadata == {"key_id": ""}


@pytest.mark.parametrize("presented", ["hello", "sk-optk-" + "0" * 65, "\ud800"])
async def test_what_is_no_secret(cases: UseCases, actor: Actor, presented: str) -> None:
    """The refusal does not repeat it: it may be somebody else's secret."""
    with pytest.raises(KeyAuthorityError) as caught:
        await cases.finding.lookup(actor, presented)

    assert caught.value.reason is Reason.SECRET_MALFORMED
    assert presented not in caught.value.message
    assert caught.value.metadata == {}


@pytest.mark.parametrize(
    ("given", "shown"),
    [("key_1", "key_1"), ("key_" + "x" * 9_000, "key_" + "x" * 60), ("sk-optk-" + "x" * 65, "")],
)
async def test_a_refusal_repeats_no_secret(
    cases: UseCases, actor: Actor, given: str, shown: str
) -> None:
    """An id comes back, in part at least; what was sent in the place of one does not."""
    with pytest.raises(KeyAuthorityError) as caught:
        await cases.finding.get(actor, given)

    assert caught.value.metadata == {"key_id": shown}
