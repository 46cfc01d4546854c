"""May this secret act?"""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest

from keyauthority.domain import secrets
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.domain.verifying import Verifying
from keyauthority.keyring import FileKeyring
from tests.conformance.records import DAY, MICROSECOND, SECOND, ManualClock, a_pepper
from tests.domain.parts import CountingKeyring, UseCases, WatchedStore, an_update
from tests.transactions import changing

MINUTE = 60 * SECOND


async def revoke(cases: UseCases, actor: Actor, key_id: str) -> None:
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNSPECIFIED, "")


async def disable(cases: UseCases, actor: Actor, key_id: str) -> None:
    await cases.updating.update(actor, key_id, an_update(disabled=True), "")


async def suspend(cases: UseCases, actor: Actor, suspended: bool = True) -> None:
    await cases.workspaces.update(actor, "ws_1", name=None, suspended=suspended, etag="")


async def test_a_good_secret(cases: UseCases, actor: Actor) -> None:
    """It is valid, says whose it is and what it may do, and holds for a minute."""
    key_id, secret = await cases.issue(actor, scopes=("a", "b"), labels={"team": "red"})

    answer = await cases.verify(secret)

    assert answer.verdict is Verdict.VALID
    assert answer.key == VerifiedKey(key_id, "ws_1", "a key", ("a", "b"), {"team": "red"})
    assert (answer.epoch, answer.revision) == (1, 0)
    assert answer.cache_for == MINUTE


@pytest.mark.parametrize(
    ("revoked", "disabled", "expired", "suspended"),
    list(itertools.product([False, True], repeat=4)),
)
async def test_the_first_verdict_that_applies(
    cases: UseCases,
    actor: Actor,
    clock: ManualClock,
    revoked: bool,
    disabled: bool,
    expired: bool,
    suspended: bool,
) -> None:
    """Revoked, disabled, expired, suspended: of several the first is the verdict."""
    key_id, secret = await cases.issue(actor, ttl=DAY)
    if disabled:
        await disable(cases, actor, key_id)
    if revoked:
        await revoke(cases, actor, key_id)
    if suspended:
        await suspend(cases, actor)
    if expired:
        clock.time += DAY

    expected = Verdict.WORKSPACE_SUSPENDED if suspended else Verdict.VALID
    expected = Verdict.EXPIRED if expired else expected
    expected = Verdict.DISABLED if disabled else expected
    expected = Verdict.REVOKED if revoked else expected
    answer = await cases.verify(secret)
    assert answer.verdict is expected
    assert answer.key is not None
    assert answer.key.id == key_id


@pytest.mark.parametrize("presented", ["", "sk-optk-", "hello", "sk-optk-" + "0" * 65, "\ud800"])
async def test_a_malformed_secret(cases: UseCases, presented: str) -> None:
    """It is no secret of ours, whatever the books hold, for a minute."""
    answer = await cases.verify(presented)

    assert (answer.verdict, answer.key) == (Verdict.MALFORMED, None)
    assert answer.cache_for == MINUTE


async def test_a_well_formed_secret_of_no_key(cases: UseCases) -> None:
    """It is unknown, and that holds for two seconds only: a key may be issued any time."""
    answer = await cases.verify(secrets.mint(secrets.new_id("key")).reveal())

    assert (answer.verdict, answer.key) == (Verdict.UNKNOWN, None)
    assert answer.cache_for == 2 * SECOND


@pytest.mark.parametrize("state", ["active", "revoked", "disabled", "suspended"])
async def test_a_wrong_secret_of_a_known_key(cases: UseCases, actor: Actor, state: str) -> None:
    """It is unknown too, and tells nothing of the key or its state."""
    key_id, _ = await cases.issue(actor)
    if state == "revoked":
        await revoke(cases, actor, key_id)
    if state == "disabled":
        await disable(cases, actor, key_id)
    if state == "suspended":
        await suspend(cases, actor)

    answer = await cases.verify(secrets.mint(key_id).reveal())

    assert (answer.verdict, answer.key) == (Verdict.UNKNOWN, None)
    assert answer.cache_for == 2 * SECOND


async def test_an_unknown_key_costs_a_digest(
    cases: UseCases, actor: Actor, keyring: CountingKeyring
) -> None:
    """Known or not, right or wrong, one digest is made: the time tells nothing."""
    key_id, secret = await cases.issue(actor)
    unknown = secrets.mint(secrets.new_id("key")).reveal()
    wrong = secrets.mint(key_id).reveal()

    for presented in (secret, wrong, unknown):
        keyring.digests = 0
        await cases.verify(presented)
        assert keyring.digests == 1


async def test_a_wrong_secret_has_the_books_read_no_more_than_an_unknown_key(
    cases: UseCases, actor: Actor, store: WatchedStore
) -> None:
    """However often the key was rotated: what is read takes time, and the time would tell."""
    key_id, _ = await cases.issue(actor)
    for _ in range(5):
        await cases.rotate(actor, key_id)
    store.snapshots.clear()
    await cases.verify(secrets.mint(key_id).reveal())
    await cases.verify(secrets.mint(secrets.new_id("key")).reveal())

    assert [snapshot.keys for snapshot in store.snapshots] == [{}, {}]


async def test_an_unknown_key_under_a_pepper_elsewhere_is_not_called_unknown(
    cases: UseCases, store: WatchedStore
) -> None:
    """Its secret may be kept under the one that this process lacks."""
    async with changing(store) as tx:
        await tx.peppers.put(a_pepper(2))

    with pytest.raises(KeyAuthorityError) as caught:
        await cases.verify(secrets.mint(secrets.new_id("key")).reveal())

    assert caught.value.reason is Reason.KEYRING_MISMATCH


async def test_a_key_with_many_secrets_costs_one_digest_a_pepper(
    cases: UseCases, actor: Actor, keyring: CountingKeyring
) -> None:
    """Secrets of one pepper share a digest."""
    key_id, secret = await cases.issue(actor)
    for _ in range(5):
        await cases.rotate(actor, key_id)
    keyring.digests = 0

    answer = await cases.verify(secret)

    assert answer.verdict is Verdict.REVOKED
    assert keyring.digests == 1


async def test_rotated(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """The old secret works on until its overlap is over, and is revoked, not unknown, from then."""
    key_id, old = await cases.issue(actor)
    _, new = await cases.rotate(actor, key_id, overlap=10 * SECOND)

    answer = await cases.verify(old)
    assert (answer.verdict, answer.cache_for) == (Verdict.VALID, 10 * SECOND)
    assert (await cases.verify(new)).cache_for == MINUTE

    clock.time += 10 * SECOND - MICROSECOND
    answer = await cases.verify(old)
    assert (answer.verdict, answer.cache_for) == (Verdict.VALID, MICROSECOND)

    clock.time += MICROSECOND
    answer = await cases.verify(old)
    assert (answer.verdict, answer.cache_for) == (Verdict.REVOKED, MINUTE)
    assert answer.key is not None
    assert answer.key.id == key_id
    assert (await cases.verify(new)).verdict is Verdict.VALID


async def test_rotated_without_overlap(cases: UseCases, actor: Actor) -> None:
    """The old secret ends when the call returns."""
    key_id, old = await cases.issue(actor)
    _, new = await cases.rotate(actor, key_id)

    answers = await cases.verify_all([old, new])

    assert [answer.verdict for answer in answers] == [Verdict.REVOKED, Verdict.VALID]


@pytest.mark.parametrize(
    ("left", "cache_for"),
    [
        (MICROSECOND, MICROSECOND),
        (5 * SECOND, 5 * SECOND),
        (MINUTE, MINUTE),
        (MINUTE + SECOND, MINUTE),
    ],
)
async def test_an_answer_holds_no_longer_than_the_key(
    cases: UseCases, actor: Actor, left: timedelta, cache_for: timedelta
) -> None:
    """At most a minute, and never beyond the expiry."""
    _, secret = await cases.issue(actor, ttl=left)

    assert (await cases.verify(secret)).cache_for == cache_for


async def test_a_revoked_key_stays_revoked_beyond_its_expiry(cases: UseCases, actor: Actor) -> None:
    """The answer holds for the whole minute: what comes later can't change it."""
    key_id, secret = await cases.issue(actor, ttl=5 * SECOND)
    await revoke(cases, actor, key_id)

    assert (await cases.verify(secret)).cache_for == MINUTE


async def test_what_of_a_revoked_secret_is_revoked(cases: UseCases, actor: Actor) -> None:
    """A verdict tells a key that is over from a secret that is; with other verdicts it says no."""
    key_id, old = await cases.issue(actor)
    _, new = await cases.rotate(actor, key_id)
    answers = await cases.verify_all([old, new, "noise"])
    assert [answer.key_revoked for answer in answers] == [False, False, False]

    await revoke(cases, actor, key_id)

    answers = await cases.verify_all([old, new, secrets.mint(key_id).reveal()])
    assert [answer.key_revoked for answer in answers] == [True, True, False]


async def test_many_at_once(cases: UseCases, actor: Actor) -> None:
    """Each gets its own answer, in its place, twice the same if asked twice."""
    _, secret = await cases.issue(actor)
    other_id, other = await cases.issue(actor)
    await revoke(cases, actor, other_id)

    answers = await cases.verify_all([other, "noise", secret, secret])

    assert [answer.verdict for answer in answers] == [
        Verdict.REVOKED,
        Verdict.MALFORMED,
        Verdict.VALID,
        Verdict.VALID,
    ]
    assert {answer.revision for answer in answers} == {1}


async def test_a_revision_not_reached(cases: UseCases, actor: Actor) -> None:
    """Who knows of a later state gets no verdict by an earlier one, not even on noise."""
    key_id, secret = await cases.issue(actor)
    await revoke(cases, actor, key_id)

    assert (await cases.verify(secret, at_least_revision=1)).revision == 1
    for presented in (secret, "noise"):
        with pytest.raises(KeyAuthorityError) as refused:
            await cases.verify(presented, at_least_revision=2)
        assert refused.value.reason is Reason.REVISION_NOT_REACHED
        assert refused.value.metadata == {"revision": "1"}


async def test_a_keyring_without_the_pepper(cases: UseCases, actor: Actor, tmp_path: Path) -> None:
    """A secret that can't be compared gets no verdict: neither refused nor accepted."""
    _, secret = await cases.issue(actor)
    foreign = FileKeyring(tmp_path / "foreign.json", {2: b"x" * 32})

    judged = await Verifying(cases.store, foreign, cases.last_used).judge_all([secret, "noise"])

    with pytest.raises(KeyAuthorityError) as refused:
        judged.verdicts(0)

    assert refused.value.reason is Reason.KEYRING_MISMATCH
    assert secret not in refused.value.message
    # The others have their verdicts.
    alone, other = judged.parts([1, 1])
    assert alone.answers == (refused.value,)
    assert [one.verdict for one in other.verdicts(0)] == [Verdict.MALFORMED]


async def test_suspended_and_resumed(cases: UseCases, actor: Actor) -> None:
    """All keys of the workspace are refused while it is suspended, those of others are not."""
    _, secret = await cases.issue(actor)
    _, other = await cases.issue(actor, "ws_2")

    await suspend(cases, actor)
    answers = await cases.verify_all([secret, other])
    assert [one.verdict for one in answers] == [Verdict.WORKSPACE_SUSPENDED, Verdict.VALID]

    await suspend(cases, actor, suspended=False)
    assert (await cases.verify(secret)).verdict is Verdict.VALID
