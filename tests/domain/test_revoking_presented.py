"""Whoever holds a secret may end its key."""

from __future__ import annotations

from typing import Any

import pytest

from keyauthority.domain import secrets
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import Revocation, RevocationReason
from keyauthority.domain.verdicts import Verdict
from tests.conformance.records import SECOND, START, ManualClock
from tests.domain.parts import UseCases, WatchedStore, an_actor

FOREIGN = "pk_live_51H8xQ2eZvKYlo2C"


async def reason_of(attempt: Any) -> Reason:
    with pytest.raises(KeyAuthorityError) as caught:
        await attempt
    return caught.value.reason


@pytest.mark.parametrize("kind", ["minted", "foreign"])
async def test_the_key_is_revoked(cases: UseCases, actor: Actor, kind: str) -> None:
    """As compromised, with the note, behind the fence, and with its entry."""
    if kind == "minted":
        key_id, secret = await cases.issue(actor)
    else:
        [taken] = await cases.take(actor, FOREIGN)
        key_id, secret = taken.id, FOREIGN

    key, receipt = await cases.revoking_presented.revoke(actor, secret, "found on a forum")

    assert key.id == key_id
    assert key.revocation == Revocation(
        START, RevocationReason.COMPROMISED, "found on a forum", actor.who
    )
    answer = await cases.verify(secret)
    assert (answer.verdict, answer.key_revoked) == (Verdict.REVOKED, True)
    assert receipt.sessions_acknowledged == 7
    assert cases.fence.asked[-1] == receipt.revision == answer.revision
    [entry, *_] = await cases.audit.page(AuditFilter(subject=key_id), 10, None)
    assert entry.action is Action.KEY_REVOKED
    assert entry.details == {
        "reason": "COMPROMISED",
        "note": "found on a forum",
        "by_secret": "true",
    }
    assert (entry.workspace_id, entry.revision) == ("ws_1", receipt.revision)


async def test_possession_is_enough(cases: UseCases, actor: Actor) -> None:
    """It does not matter which workspaces the caller may administer."""
    key_id, secret = await cases.issue(actor)

    key, _ = await cases.revoking_presented.revoke(an_actor("ws_2"), secret, "")

    assert key.id == key_id


async def test_a_repeat_changes_nothing_and_waits(cases: UseCases, actor: Actor) -> None:
    """Whoever is told so may rely on it, whoever revoked the key first and why."""
    key_id, secret = await cases.issue(actor)
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNUSED, "first")

    key, receipt = await cases.revoking_presented.revoke(actor, secret, "second")

    assert key.revocation == Revocation(START, RevocationReason.UNUSED, "first", actor.who)
    assert (receipt.revision, cases.fence.asked) == (1, [1, 1])


async def test_a_retired_secret_is_no_means(
    cases: UseCases, actor: Actor, clock: ManualClock
) -> None:
    """Only a secret that has not ended stops its key; during its overlap it does."""
    key_id, first = await cases.issue(actor)
    _, second = await cases.rotate(actor, key_id)
    assert (
        await reason_of(cases.revoking_presented.revoke(actor, first, "")) is Reason.KEY_NOT_FOUND
    )
    assert (await cases.verify(second)).verdict is Verdict.VALID

    await cases.rotate(actor, key_id, overlap=10 * SECOND)
    clock.time += 9 * SECOND
    key, _ = await cases.revoking_presented.revoke(actor, second, "")
    assert key.revocation is not None


async def test_a_secret_that_is_retired_meanwhile(
    cases: UseCases, actor: Actor, store: WatchedStore
) -> None:
    """What was found is looked at again when the books are open to change."""
    key_id, secret = await cases.issue(actor)

    async def rotate() -> None:
        store.overtake = None
        await cases.rotate(actor, key_id)

    store.overtake = rotate

    assert (
        await reason_of(cases.revoking_presented.revoke(actor, secret, "")) is Reason.KEY_NOT_FOUND
    )
    assert (await cases.finding.get(actor, key_id)).revocation is None


async def test_what_is_refused(cases: UseCases, actor: Actor) -> None:
    """Noise, secrets nobody minted, long notes; none of it makes anybody wait."""
    key_id, secret = await cases.issue(actor)
    attempts = [
        ("", "", Reason.FIELD_INVALID),
        (secret, "x" * 501, Reason.FIELD_INVALID),
        ("noise", "", Reason.SECRET_MALFORMED),
        (FOREIGN, "", Reason.SECRET_MALFORMED),
        (secrets.mint(key_id).reveal(), "", Reason.KEY_NOT_FOUND),
        (secrets.mint(secrets.new_id("key")).reveal(), "", Reason.KEY_NOT_FOUND),
    ]

    for presented, note, reason in attempts:
        assert await reason_of(cases.revoking_presented.revoke(actor, presented, note)) is reason

    assert cases.fence.asked == []
    assert (await cases.verify(secret)).verdict is Verdict.VALID
