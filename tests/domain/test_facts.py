"""What happened, as each use case states it: one entry for each fact, with the old and the new value."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keyauthority.domain import earlier
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Actor, Person, Role, authority, operator
from keyauthority.domain.facts import Action, Fact, length
from keyauthority.domain.keys import RevocationReason, Who
from keyauthority.domain.leasing import Leasing
from keyauthority.domain.managing_callers import NewCaller
from keyauthority.domain.restoring import Restoring, repetition_of
from tests.conformance.records import DAY, START
from tests.domain.parts import UseCases, an_update

HOUR = timedelta(hours=1)
FOREIGN = "foreign-secret-of-somebody"


async def facts(cases: UseCases, subject: str = "") -> list[Fact]:
    """What happened to a subject, oldest first."""
    return [Fact(one.action, one.details) for one in await entries(cases, subject)]


async def entries(cases: UseCases, subject: str = "") -> list[AuditEntry]:
    return (await cases.audit.page(AuditFilter(subject), 100, None))[::-1]


async def test_the_life_of_a_key(cases: UseCases, actor: Actor) -> None:
    """Each step has its own word, and says what became of what."""
    key_id, _ = await cases.issue(actor, name="ci", scopes=("read",), labels={"b": "1", "a": "2"})
    for fields in (
        an_update(name="deploy"),
        an_update(disabled=True),
        an_update(disabled=False),
        an_update(expire_time=START + DAY),
        an_update(scopes=()),
        an_update(labels={"c": "3"}),
    ):
        await cases.updating.update(actor, key_id, fields, "")
    await cases.rotate(actor, key_id, 24 * HOUR)
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNUSED, "")

    assert await facts(cases, key_id) == [
        Fact(Action.KEY_ISSUED, {"name": "ci"}),
        Fact(Action.KEY_RENAMED, {"from": "ci", "to": "deploy"}),
        Fact(Action.KEY_PAUSED, {"from": "false", "to": "true"}),
        Fact(Action.KEY_RESUMED, {"from": "true", "to": "false"}),
        Fact(
            Action.KEY_EXPIRY_CHANGED,
            {"from": "never", "to": (START + DAY).isoformat().replace("+00:00", "Z")},
        ),
        Fact(Action.KEY_SCOPES_CHANGED, {"from": "read", "to": "full access"}),
        Fact(Action.KEY_LABELS_CHANGED, {"from": '{"a": "2", "b": "1"}', "to": '{"c": "3"}'}),
        Fact(Action.KEY_ROTATED, {"overlap": "24 hours"}),
        Fact(Action.KEY_REVOKED, {"reason": "UNUSED"}),
    ]
    assert [one.revision for one in await entries(cases, key_id)] == [0, 1, 2, 3, 4, 5, 6, 7, 8]


async def test_several_things_at_once(cases: UseCases, actor: Actor) -> None:
    """One change of a verdict is one revision, whatever it is made of; the next has the next."""
    key_id, _ = await cases.issue(actor)
    all_of_it = an_update(
        name="other", disabled=True, expire_time=START + DAY, scopes=("a",), labels={"b": "c"}
    )
    _, receipt = await cases.updating.update(actor, key_id, all_of_it, "")
    assert receipt.revision == 1
    _, receipt = await cases.workspaces.update(actor, "ws_1", name="other", suspended=True, etag="")
    assert receipt.revision == 2

    assert [(one.action, one.revision) for one in await entries(cases)][1:] == [
        (Action.KEY_RENAMED, 1),
        (Action.KEY_PAUSED, 1),
        (Action.KEY_EXPIRY_CHANGED, 1),
        (Action.KEY_SCOPES_CHANGED, 1),
        (Action.KEY_LABELS_CHANGED, 1),
        (Action.WORKSPACE_RENAMED, 2),
        (Action.WORKSPACE_SUSPENDED, 2),
    ]


async def test_what_is_written_back_unchanged_is_no_fact(cases: UseCases, actor: Actor) -> None:
    """Of all the fields that an update names, the audit tells those that changed."""
    key_id, _ = await cases.issue(actor, name="ci")
    fields = an_update(name="ci", disabled=True)
    await cases.updating.update(actor, key_id, fields, "")

    assert [one.action for one in await facts(cases, key_id)][1:] == [Action.KEY_PAUSED]


async def test_the_rest_of_the_authority(cases: UseCases, actor: Actor) -> None:
    """Workspaces, callers, peppers, imports, leases, epochs, the audit itself."""
    workspace = await cases.workspaces.create(actor, "initech")
    for name, suspended in (("umbrella", None), (None, True), (None, False)):
        await cases.workspaces.update(actor, workspace.id, name=name, suspended=suspended, etag="")
    caller, _ = await cases.callers.create(actor, NewCaller("billing", [Role.VERIFIER]))
    await cases.callers.revoke(actor, caller.id)
    await cases.take(actor, FOREIGN)
    await cases.peppers.add(actor)
    await cases.peppers.activate(actor, 2)
    leasing = Leasing(cases.books)
    terms = await leasing.set(operator("db lease"), timedelta(seconds=1.5))
    await leasing.forget_longer(operator("db lease"), terms)
    head, _ = await Restoring(cases.books).restore(operator("db restore-epoch"), [])
    await Restoring(cases.books).settle(authority("sweeping"), head)
    await cases.audit.prune(actor, START)

    assert [one.action for one in await facts(cases)] == [
        Action.WORKSPACE_CREATED,
        Action.WORKSPACE_RENAMED,
        Action.WORKSPACE_SUSPENDED,
        Action.WORKSPACE_RESUMED,
        Action.CALLER_CREATED,
        Action.CALLER_REVOKED,
        Action.KEY_IMPORTED,
        Action.IMPORTS_BEGUN,
        Action.PEPPER_ADDED,
        Action.PEPPER_ACTIVATED,
        Action.LEASE_CHANGED,
        Action.LEASE_CHANGED,
        Action.EPOCH_BEGUN,
        Action.EPOCH_SETTLED,
        Action.AUDIT_PRUNED,
    ]
    [renamed] = [one for one in await facts(cases) if one.action is Action.WORKSPACE_RENAMED]
    assert renamed.details == {"from": "initech", "to": "umbrella"}
    shortened, forgotten = [one for one in await facts(cases) if one.action is Action.LEASE_CHANGED]
    assert shortened.details == {"from": "3 seconds", "to": "1.5 seconds"}
    assert forgotten.details == {"longest_lease": "1.5 seconds"}


async def test_who_revoked_and_who_was_shown_which_secret(cases: UseCases, actor: Actor) -> None:
    """Stands in the records: the person that the caller acted for, else the caller."""
    alice = replace(actor, person=Person("person_1", "alice@example.com"))
    key_id, _ = await cases.issue(alice)
    await cases.rotate(actor, key_id, HOUR)
    await cases.revoking.revoke(alice, [key_id], RevocationReason.UNUSED, "")
    [imported] = await cases.take(alice, FOREIGN)

    key = await cases.finding.get(actor, key_id)
    itself = Who(actor.caller.id, actor.caller.name)
    person = Who("person_1", "alice@example.com")
    assert [one.creator for one in key.secrets] == [itself, person]
    assert key.revocation is not None
    assert key.revocation.by == person
    assert imported.secrets[0].creator == person


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(), "none"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(milliseconds=200), "0.2 seconds"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (HOUR, "1 hour"),
        (DAY, "24 hours"),
        (DAY + HOUR, "25 hours"),
        (7 * DAY, "7 days"),
        (100 * DAY + timedelta(microseconds=1), "8640000.000001 seconds"),
    ],
)
def test_lengths_in_words(span: timedelta, words: str) -> None:
    """In the largest unit that is exact; a day is one of 24 hours."""
    assert length(span) == words


@pytest.mark.parametrize("action", Action)
def test_a_restore_has_decided_about_each(action: Action) -> None:
    """A new action that nobody decided about is told here, not after a disk was lost."""
    repetition_of(action)


@pytest.mark.parametrize(
    ("method", "subject", "details", "fact"),
    [
        ("KeyService.IssueKey", "key_1", {"name": "a"}, Fact(Action.KEY_ISSUED, {"name": "a"})),
        ("KeyService.RevokeKeys", "key_1", {}, Fact(Action.KEY_REVOKED)),
        ("KeyService.ImportKeys", "key_1", {}, Fact(Action.KEY_IMPORTED)),
        ("KeyService.ImportKeys", "imports", {}, Fact(Action.IMPORTS_BEGUN)),
        (
            "VerificationService.RevokePresented",
            "key_1",
            {},
            Fact(Action.KEY_REVOKED, {"by_secret": "true"}),
        ),
        (
            "KeyService.RotateKey",
            "key_1",
            {"overlap": "1 day, 0:00:00"},
            Fact(Action.KEY_ROTATED, {"overlap": "24 hours"}),
        ),
        (
            "KeyService.RotateKey",
            "key_1",
            {"overlap": "0:00:00.500000"},
            Fact(Action.KEY_ROTATED, {"overlap": "0.5 seconds"}),
        ),
        (
            "KeyService.UpdateKey",
            "key_1",
            {"fields": "name"},
            Fact(Action.KEY_RENAMED, {"fields": "name"}),
        ),
        (
            "KeyService.UpdateKey",
            "key_1",
            {"fields": "disabled"},
            Fact(Action.KEY_CHANGED, {"fields": "disabled"}),
        ),
        (
            "KeyService.UpdateKey",
            "key_1",
            {"fields": "name,scopes"},
            Fact(Action.KEY_CHANGED, {"fields": "name,scopes"}),
        ),
        (
            "WorkspaceService.UpdateWorkspace",
            "ws_1",
            {"suspended": "true"},
            Fact(Action.WORKSPACE_SUSPENDED, {"suspended": "true"}),
        ),
        (
            "WorkspaceService.UpdateWorkspace",
            "ws_1",
            {"suspended": "false"},
            Fact(Action.WORKSPACE_CHANGED, {"suspended": "false"}),
        ),
        ("db restore-epoch", "", {"epoch": "7"}, Fact(Action.EPOCH_BEGUN, {"epoch": "7"})),
        ("db restore-epoch", "key_1", {}, Fact(Action.KEY_REVOKED)),
        ("db restore-epoch", "caller_1", {}, Fact(Action.CALLER_REVOKED)),
        (
            "db restore-epoch",
            "ws_1",
            {"suspended": "true"},
            Fact(Action.WORKSPACE_SUSPENDED, {"suspended": "true"}),
        ),
        ("KeyService.NoSuchThing", "key_1", {}, Fact(Action.OTHER)),
    ],
)
def test_entries_from_before(
    method: str, subject: str, details: dict[str, str], fact: Fact
) -> None:
    """What an older version kept is told as far as it says, and not further."""
    assert earlier.fact(method, subject, details, refused=False) == fact
    refused = earlier.fact(method, subject, details, refused=True)
    assert refused == Fact(Action.ATTEMPT_REFUSED, details)
