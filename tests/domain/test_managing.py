"""Workspaces, callers, peppers, and reading the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyauthority.domain import secrets
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.callers import Actor, Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.etags import etag
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.managing_callers import NewCaller
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.domain.secrets import TOKEN_PREFIX
from keyauthority.keyring import FileKeyring
from tests.conformance.records import DAY, MICROSECOND, SECOND, START, ManualClock
from tests.domain.parts import CountingKeyring, UseCases, WatchedStore

ADMIN = [Role.ADMIN]


async def create(
    cases: UseCases, actor: Actor, name: str = "billing", **fields: Any
) -> tuple[Caller, str]:
    new = NewCaller(name, **{"roles": [Role.VERIFIER], **fields})
    caller, token = await cases.callers.create(actor, new)
    return caller, token.reveal()


async def test_a_workspace(cases: UseCases, actor: Actor) -> None:
    """It is created, found, listed newest first, and audited."""
    workspace = await cases.workspaces.create(actor, "initech")

    assert await cases.workspaces.get(workspace.id) == workspace
    assert workspace.id.startswith("ws_")
    assert workspace in await cases.workspaces.page(10, None)
    [entry] = await cases.audit.page(AuditFilter(), 10, None)
    assert (entry.subject, entry.workspace_id) == (workspace.id, workspace.id)


async def test_a_workspace_that_is_not_there(cases: UseCases, actor: Actor) -> None:
    """Neither got nor changed."""
    for attempt in (
        cases.workspaces.get("ws_none"),
        cases.workspaces.update(actor, "ws_none", name=None, suspended=True, etag=""),
    ):
        with pytest.raises(KeyAuthorityError) as refused:
            await attempt
        assert refused.value.reason is Reason.WORKSPACE_NOT_FOUND


async def test_a_workspace_changed(cases: UseCases, actor: Actor) -> None:
    """Only what is given changes; without a difference nothing does, not even the version."""
    read = etag("ws_1", 1)
    renamed, first = await cases.workspaces.update(
        actor, "ws_1", name="other", suspended=None, etag=read
    )
    assert (renamed.name, renamed.suspended, renamed.version) == ("other", False, 2)

    same, second = await cases.workspaces.update(
        actor, "ws_1", name="other", suspended=False, etag=""
    )
    assert same == renamed
    assert (first.revision, second.revision) == (1, 1)

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.workspaces.update(actor, "ws_1", name=None, suspended=True, etag=read)
    assert refused.value.reason is Reason.ETAG_MISMATCH


async def test_a_caller(cases: UseCases, actor: Actor) -> None:
    """Its token lets it in as itself, and neither books nor audit hold the token."""
    caller, token = await create(
        cases, actor, roles=[Role.ISSUER, Role.ADMIN], workspace_ids=["ws_1"]
    )

    assert await cases.authenticating.by_token(token) == caller
    assert caller.roles == {Role.ISSUER, Role.ADMIN}
    assert caller.workspace_ids == ("ws_1",)
    [entry] = await cases.audit.page(AuditFilter(), 10, None)
    assert entry.details == {"name": "billing", "roles": "ADMIN,ISSUER"}
    assert token not in repr(caller) + repr(entry)
    assert token[-10:] not in repr(caller) + repr(entry)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": " "}),
        ("roles", {"roles": []}),
        ("roles", {"roles": [Role.ADMIN, Role.ADMIN]}),
        ("workspace_ids", {"workspace_ids": ["ws_1", "ws_1"]}),
        ("workspace_ids", {"workspace_ids": [f"ws_{n}" for n in range(101)]}),
        ("certificate_name", {"certificate_name": "two words"}),
    ],
)
async def test_what_no_caller_can_be(
    cases: UseCases, actor: Actor, field: str, fields: dict[str, Any]
) -> None:
    """The field is named and nobody is created."""
    with pytest.raises(KeyAuthorityError) as refused:
        await create(cases, actor, **fields)

    assert refused.value.metadata == {"field": field}
    assert await cases.callers.page(10, None) == []


async def test_names_are_taken_while_their_bearer_is_in_force(
    cases: UseCases, actor: Actor
) -> None:
    """The name, and the certificate's; after a revocation both are free again."""
    caller, _ = await create(cases, actor, certificate_name="spiffe://a")

    for reason, name, certificate in (
        (Reason.CALLER_NAME_TAKEN, "billing", ""),
        (Reason.CERTIFICATE_NAME_TAKEN, "other", "spiffe://a"),
    ):
        with pytest.raises(KeyAuthorityError) as refused:
            await create(cases, actor, name, certificate_name=certificate)
        assert refused.value.reason is reason

    await cases.callers.revoke(actor, caller.id)
    again, _ = await create(cases, actor, certificate_name="spiffe://a")
    assert await cases.authenticating.by_certificate(["spiffe://b", "spiffe://a"]) == again


async def test_bound_to_a_workspace_that_is_not_there(cases: UseCases, actor: Actor) -> None:
    """It is named, and nobody is created."""
    with pytest.raises(KeyAuthorityError) as refused:
        await create(cases, actor, workspace_ids=["ws_1", "ws_none"])

    assert refused.value.metadata == {"workspace_id": "ws_none"}
    assert await cases.callers.page(10, None) == []


async def test_a_revoked_caller(cases: UseCases, actor: Actor) -> None:
    """It is out when the call returns, fenced; again changes nothing and is fenced too."""
    caller, token = await create(cases, actor)

    revoked, first = await cases.callers.revoke(actor, caller.id)
    again, second = await cases.callers.revoke(actor, caller.id)

    assert revoked == again
    assert (first.revision, second.revision) == (1, 1)
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.authenticating.by_token(token)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID


async def test_a_caller_that_is_not_there(cases: UseCases, actor: Actor) -> None:
    """Nobody is revoked in its stead."""
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.callers.revoke(actor, "caller_none")

    assert refused.value.reason is Reason.CALLER_NOT_FOUND


async def test_the_last_admin_stays(cases: UseCases, actor: Actor) -> None:
    """Somebody must be left to create the next one; others are free to go."""
    first, _ = await create(cases, actor, "first", roles=ADMIN)
    second, _ = await create(cases, actor, "second", roles=ADMIN)
    verifier, _ = await create(cases, actor, "third")

    await cases.callers.revoke(actor, first.id)
    await cases.callers.revoke(actor, verifier.id)
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.callers.revoke(actor, second.id)

    assert refused.value.reason is Reason.LAST_ADMIN
    await cases.callers.revoke(actor, first.id)


async def test_wrong_tokens(cases: UseCases, actor: Actor, keyring: CountingKeyring) -> None:
    """Of a caller or of none, revoked or noise: all alike, and the well-formed cost a digest."""
    caller, token = await create(cases, actor)
    wrong = secrets.mint(caller.id, TOKEN_PREFIX).reveal()
    unknown = secrets.mint(secrets.new_id("caller"), TOKEN_PREFIX).reveal()
    _, key = await cases.issue(actor)

    for presented, digests in ((wrong, 1), (unknown, 1), (key, 0), ("", 0), (token[:-1], 0)):
        keyring.digests = 0
        with pytest.raises(KeyAuthorityError) as refused:
            await cases.authenticating.by_token(presented)
        assert refused.value.reason is Reason.CREDENTIAL_INVALID
        assert refused.value.message == "the credential is not accepted"
        assert keyring.digests == digests


@pytest.mark.parametrize("names", [[], [""], ["spiffe://b"]])
async def test_wrong_certificates(cases: UseCases, actor: Actor, names: list[str]) -> None:
    """An empty name, which most callers have, is nobody's."""
    await create(cases, actor)

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.authenticating.by_certificate(names)

    assert refused.value.reason is Reason.CREDENTIAL_INVALID


async def test_the_life_of_a_pepper(
    cases: UseCases, actor: Actor, keyring: CountingKeyring
) -> None:
    """Added, activated, superseded, retired when nothing in force needs it."""
    key_id, _ = await cases.issue(actor)
    added = await cases.peppers.add(actor)
    assert (added.version, added.state) == (2, PepperState.ADDED)
    assert added.fingerprint == keyring.fingerprint(2)

    active, uses = await cases.peppers.activate(actor, 2)
    assert (active.state, uses) == (PepperState.ACTIVE, 0)
    states = {pepper.version: (pepper.state, uses) for pepper, uses in await cases.peppers.all()}
    assert states == {1: (PepperState.SUPERSEDED, 1), 2: (PepperState.ACTIVE, 0)}

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.peppers.retire(actor, 1)
    assert refused.value.reason is Reason.PEPPER_IN_USE
    assert refused.value.metadata == {"version": "1", "secrets": "1"}

    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNUSED, "")
    assert (await cases.peppers.retire(actor, 1)).state is PepperState.RETIRED
    assert (await cases.peppers.retire(actor, 1)).state is PepperState.RETIRED
    subjects = [entry.subject for entry in await cases.audit.page(AuditFilter(), 10, None)]
    assert [one for one in subjects if one.startswith("pepper")] == [
        *("pepper_1", "pepper_2", "pepper_2")
    ]


async def test_what_peppers_refuse(cases: UseCases, actor: Actor) -> None:
    """Two waiting, an unknown one, the active one retired, a retired one activated."""
    await cases.peppers.add(actor)
    attempts = [
        (cases.peppers.add(actor), Reason.PEPPER_PENDING, "2"),
        (cases.peppers.activate(actor, 7), Reason.PEPPER_NOT_FOUND, "7"),
        (cases.peppers.retire(actor, 7), Reason.PEPPER_NOT_FOUND, "7"),
        (cases.peppers.retire(actor, 1), Reason.PEPPER_ACTIVE, "1"),
    ]
    for attempt, reason, version in attempts:
        with pytest.raises(KeyAuthorityError) as refused:
            await attempt
        assert refused.value.reason is reason
        assert refused.value.metadata == {"version": version}

    await cases.peppers.activate(actor, 2)
    await cases.peppers.retire(actor, 1)
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.peppers.activate(actor, 1)
    assert refused.value.reason is Reason.PEPPER_RETIRED


async def test_a_pepper_that_differs_from_the_books(
    cases: UseCases, actor: Actor, tmp_path: Path
) -> None:
    """A file that another pepper of that version was put into is not made use of."""
    await cases.peppers.add(actor)
    other = FileKeyring.create(tmp_path / "other.json")
    other.add(2)

    with pytest.raises(KeyAuthorityError) as refused:
        await ManagingPeppers(cases.books, other).activate(actor, 2)

    assert refused.value.reason is Reason.KEYRING_MISMATCH
    [(first, _), (second, _)] = await cases.peppers.all()
    assert (first.state, second.state) == (PepperState.ACTIVE, PepperState.ADDED)


async def test_pepper_changes_are_no_changes_of_verdicts(cases: UseCases, actor: Actor) -> None:
    """Nobody is made to wait for them, and the revision stays."""
    await cases.peppers.add(actor)
    await cases.peppers.activate(actor, 2)
    await cases.peppers.retire(actor, 1)

    assert cases.fence.asked == []
    assert (await cases.store.snapshot([])).head.revision == 0


async def test_the_audit_is_pruned(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """What is older goes, and an entry stays that says how much, and from when."""
    await cases.workspaces.create(actor, "first")
    clock.time += DAY
    await cases.workspaces.create(actor, "second")

    assert await cases.audit.prune(actor, START + SECOND) == 1

    newest, second = await cases.audit.page(AuditFilter(), 10, None)
    assert second.details == {"name": "second"}
    assert newest.details == {"before": (START + SECOND).isoformat(), "deleted": "1"}


async def test_the_audit_is_pruned_a_little_at_a_time(
    cases: UseCases, actor: Actor, clock: ManualClock, store: WatchedStore
) -> None:
    """In transactions of their own, so that verdicts and changes come in between."""
    audit = ReadingAudit(cases.books, at_once=2)
    for _ in range(5):
        await cases.workspaces.create(actor, "a workspace")
    clock.time += DAY
    store.changes = 0

    assert await audit.prune(actor, START + SECOND) == 5

    assert store.changes == 3
    left = await cases.audit.page(AuditFilter(), 10, None)
    assert [entry.details["deleted"] for entry in left] == ["1", "2", "2"]


@pytest.mark.parametrize("before", [None, START + MICROSECOND])
async def test_the_future_is_not_pruned(cases: UseCases, actor: Actor, before: Any) -> None:
    """Neither all of time nor what has not happened yet."""
    await cases.workspaces.create(actor, "first")

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.audit.prune(actor, before)

    assert refused.value.metadata == {"field": "before_time"}
    assert len(await cases.audit.page(AuditFilter(), 10, None)) == 1
