"""The door to the books: what becomes of a change, whatever it is, and that there is no other way."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import keyauthority
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.books import (
    POSTS,
    POSTS_IN_FORCE,
    Books,
    Change,
    Posting,
    Unfenced,
    Upkeep,
    upkeep,
)
from keyauthority.domain.callers import Actor, authority, operator
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.sessions import Head, Receipt
from tests.conformance.records import START, UndoError, a_workspace
from tests.domain.parts import UseCases, an_actor, an_update
from tests.transactions import reading

NO_REASON = RevocationReason.UNSPECIFIED
PAUSED = Fact(Action.KEY_PAUSED)


async def audited(cases: UseCases) -> list[AuditEntry]:
    """All entries, oldest first."""
    return (await cases.audit.page(AuditFilter(), 100, None))[::-1]


async def test_durable_before_the_fence_is_asked(cases: UseCases, actor: Actor) -> None:
    """While verifiers are waited for, the change is already made."""

    async def work(change: Change) -> str:
        change.alters("key_1", "ws_1", PAUSED)
        assert cases.fence.asked == []
        return "the result"

    result, receipt = await cases.books.change(actor, work)

    assert (result, receipt.revision) == ("the result", 1)
    assert cases.fence.asked == [1]
    assert cases.fence.durable == [1]


async def test_the_fences_receipt_is_the_changes(cases: UseCases, actor: Actor) -> None:
    """What the fence tells comes back to the caller."""
    key_id, _ = await cases.issue(actor)

    _, receipt = await cases.revoking.revoke(actor, [key_id], NO_REASON, "")

    assert (receipt.revision, receipt.sessions_acknowledged) == (1, 7)


async def test_nothing_to_change_waits_all_the_same(cases: UseCases, actor: Actor) -> None:
    """A repeat is told the same thing as the first, so it waits for the same revision."""
    key_id, _ = await cases.issue(actor)
    await cases.revoking.revoke(actor, [key_id], NO_REASON, "")
    before = len(await audited(cases))

    _, receipt = await cases.revoking.revoke(actor, [key_id], NO_REASON, "")

    assert receipt.revision == 1
    assert cases.fence.asked == [1, 1]
    assert len(await audited(cases)) == before


async def test_an_exception_leaves_no_trace(cases: UseCases, actor: Actor) -> None:
    """No change, no revision, no audit entry, and nobody is asked to wait."""
    key_id, _ = await cases.issue(actor)
    before = await audited(cases)

    async def work(change: Change) -> None:
        key = (await change.tx.keys.get([key_id]))[key_id]
        await change.tx.keys.update([(key, key.revoked(change.tx.time, NO_REASON, "", actor.who))])
        change.alters(key_id, "ws_1", PAUSED)
        raise UndoError

    with pytest.raises(UndoError):
        await cases.books.change(actor, work)

    assert cases.fence.asked == []
    assert await audited(cases) == before
    assert (await cases.finding.get(actor, key_id)).revocation is None
    assert (await cases.store.snapshot([])).head.revision == 0


async def test_a_fence_that_fails_undoes_nothing(cases: UseCases, actor: Actor) -> None:
    """The change is made even if its caller does not hear that all know of it."""

    class BrokenFence:
        def announce(self, revision: int) -> None:
            pass

        async def wait(self, revision: int) -> Receipt:
            raise UndoError

    async def work(change: Change) -> None:
        change.alters("key_1", "", PAUSED)

    with pytest.raises(UndoError):
        await Books(cases.store, BrokenFence()).change(actor, work)

    assert (await cases.store.snapshot([])).head.revision == 1


async def test_each_subject_has_its_revision_and_its_entry(cases: UseCases) -> None:
    """One fence for all, at the last; each entry names its subject, revision, who and how."""
    actor = an_actor(method="KeyService.RevokeKeys")
    first, _ = await cases.issue(actor)
    second, _ = await cases.issue(actor)

    _, receipt = await cases.revoking.revoke(
        actor, [second, first], RevocationReason.COMPROMISED, "found in a log"
    )

    assert receipt.revision == 2
    assert cases.fence.asked == [2]
    entries = [entry for entry in await audited(cases) if entry.revision]
    assert [(entry.subject, entry.revision) for entry in entries] == [(second, 1), (first, 2)]
    assert {entry.workspace_id for entry in entries} == {"ws_1"}
    assert {entry.action for entry in entries} == {Action.KEY_REVOKED}
    assert {entry.method for entry in entries} == {"KeyService.RevokeKeys"}
    assert {entry.caller_id for entry in entries} == {actor.caller.id}
    assert entries[0].details == {"reason": "COMPROMISED", "note": "found in a log"}
    async with reading(cases.store) as tx:
        assert await tx.feed.since(0, 10) == [(1, second), (2, first)]


async def test_what_is_fenced_and_what_is_not(cases: UseCases, actor: Actor) -> None:
    """Changes of what exists are, creations are not."""
    key_id, _ = await cases.issue(actor)
    await cases.workspaces.create(actor, "umbrella")
    assert cases.fence.asked == []

    await cases.rotate(actor, key_id)
    await cases.updating.update(actor, key_id, an_update(name="other"), "")
    await cases.workspaces.update(actor, "ws_1", name=None, suspended=True, etag="")
    await cases.revoking.revoke(actor, [key_id], NO_REASON, "")

    assert cases.fence.asked == [1, 2, 3, 4]
    assert cases.fence.durable == [1, 2, 3, 4]


async def test_all_of_a_batch_or_none(cases: UseCases, actor: Actor) -> None:
    """A key that isn't there keeps the others from being revoked."""
    key_id, _ = await cases.issue(actor)

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.revoking.revoke(actor, [key_id, "key_none"], NO_REASON, "")

    assert refused.value.reason is Reason.KEY_NOT_FOUND
    assert refused.value.metadata == {"key_id": "key_none"}
    assert (await cases.finding.get(actor, key_id)).revocation is None


async def test_a_batch_counts_only_what_changes(cases: UseCases, actor: Actor) -> None:
    """One revoked before stays as it was, without a revision of its own."""
    first, _ = await cases.issue(actor)
    second, _ = await cases.issue(actor)
    await cases.revoking.revoke(actor, [first], RevocationReason.UNUSED, "first")

    keys, receipt = await cases.revoking.revoke(
        actor, [first, second], RevocationReason.POLICY, "second"
    )

    notes = [key.revocation.note for key in keys if key.revocation]
    assert notes == ["first", "second"]
    assert receipt.revision == 2


@pytest.mark.parametrize("key_ids", [[], ["key_1", "key_1"], ["key_1"] * 1_001])
async def test_no_batch(cases: UseCases, actor: Actor, key_ids: list[str]) -> None:
    """None, too many or one twice is refused before the books are opened."""
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.revoking.revoke(actor, key_ids, NO_REASON, "")

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.metadata == {"field": "key_ids"}


async def test_what_alters_a_verdict_is_fenced_or_not_done(cases: UseCases, actor: Actor) -> None:
    """Who calls the door that does not wait with a work that verifiers must hear of, is refused."""

    async def work(change: Change) -> None:
        await change.tx.workspaces.insert(a_workspace("ws_3"))
        change.alters("ws_1", "ws_1", PAUSED)

    with pytest.raises(RuntimeError):
        await cases.books.record(actor, work)

    assert (await cases.store.snapshot([])).head.revision == 0
    assert await cases.books.read(lambda tx: tx.workspaces.get("ws_3")) is None
    assert await audited(cases) == []


async def test_the_authority_and_its_operators_are_told_from_callers(cases: UseCases) -> None:
    """What nobody called for leaves an entry as well, under ids that no caller has."""

    async def work(change: Change) -> None:
        change.records(Fact(Action.LEASE_CHANGED))

    await cases.books.record(operator("db lease"), work)
    await cases.books.record(authority("housekeeping"), work)

    who = [(one.caller_id, one.caller_name) for one in await audited(cases)]
    assert who == [
        ("operator", "operator at the machine"),
        ("authority", "the authority itself"),
    ]


async def test_upkeep_leaves_no_entry(cases: UseCases) -> None:
    """Nobody did it, and it is no change of a record."""

    async def work(books: Upkeep) -> int:
        await books.note_uses({("key_1", b"digest"): START})
        return await books.prune_changes(1)

    assert await upkeep(cases.store, work) == 0

    assert await audited(cases) == []
    assert await cases.books.read(lambda tx: tx.last_used.of(["key_1"])) != {}


def test_there_is_no_other_door() -> None:
    """In all of the product, only the door opens transactions; below it, the databases do."""
    root = Path(keyauthority.__file__).parent
    openers = {
        file.relative_to(root)
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read", "change")
        and ast.unparse(node.func.value).endswith("store")
    }
    databases = [Path("storage", name) for name in ("sql", "postgres", "sqlite", "memory")]
    assert {one for one in openers if one.parent not in databases} == {Path("domain/books.py")}


class Crowd:
    """Books in which any number of transactions run at once."""

    changes_at_once = 1

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.feed = self

    async def change(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(self)

    async def head(self) -> Head:
        return Head(1, 1)

    async def work(self, _: Posting) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1


async def test_few_are_in_the_books_at_once() -> None:
    """The others leave room for a revocation."""
    crowd: Any = Crowd()
    books = Books(crowd, Unfenced())
    await asyncio.gather(*(books.post(crowd.work) for _ in range(20)))

    assert crowd.most == POSTS


async def test_those_who_wait_to_be_in_force_keep_no_verifier_out(actor: Actor) -> None:
    """They have places of their own, and few."""
    crowd: Any = Crowd()
    books = Books(crowd, Unfenced())
    slow = asyncio.Event()

    async def stay(_: Posting) -> None:
        crowd.inside += 1
        await slow.wait()

    staying = [asyncio.create_task(books.post_in_force(actor, stay)) for _ in range(20)]
    async with asyncio.timeout(5):
        await books.post(crowd.work)
    assert crowd.inside == POSTS_IN_FORCE
    slow.set()
    await asyncio.gather(*staying)
