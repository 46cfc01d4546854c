"""Taking over keys whose secrets were minted elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.importing import ImportedKey
from keyauthority.domain.issuing import NewKey
from keyauthority.domain.keys import KeySettings, RevocationReason
from keyauthority.domain.secrets import KEY_PREFIX, TOKEN_PREFIX, Secret, mint
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.keyring import FileKeyring
from tests.conformance.records import DAY, SECOND, START, ManualClock
from tests.domain.parts import CountingKeyring, UseCases, an_actor
from tests.transactions import reading

MINUTE = 60 * SECOND
FOREIGN = "pk_live_51H8xQ2eZvKYlo2C"
OTHER = "pk_live_another-one-entirely"


async def refused(attempt: Any) -> KeyAuthorityError:
    with pytest.raises(KeyAuthorityError) as caught:
        await attempt
    assert FOREIGN not in caught.value.message + str(caught.value.metadata)
    return caught.value


async def test_an_imported_secret_acts(cases: UseCases, actor: Actor) -> None:
    """It is a key like any other: it says whose it is and what it may do, for a minute."""
    [key] = await cases.take(actor, FOREIGN, scopes=("a",), labels={"team": "red"})

    answer = await cases.verify(FOREIGN)

    assert answer.verdict is Verdict.VALID
    assert answer.key == VerifiedKey(key.id, "ws_1", "a key", ("a",), {"team": "red"})
    assert answer.cache_for == MINUTE
    assert (key.create_time, key.version, key.settings.expire_time) == (START, 1, None)


async def test_a_foreign_secret_nobody_imported(cases: UseCases, actor: Actor) -> None:
    """It is unknown, and that is never kept: it may be imported any time. So before the first."""
    before = await cases.verify(OTHER)
    await cases.take(actor, FOREIGN)
    after = await cases.verify(OTHER)

    for answer in (before, after):
        assert (answer.verdict, answer.key) == (Verdict.UNKNOWN, None)
        assert not answer.cache_for


async def test_known_or_not_a_foreign_secret_costs_the_same(
    cases: UseCases, actor: Actor, keyring: CountingKeyring
) -> None:
    """One digest for each pepper version at hand: the time tells nothing."""
    await cases.take(actor, FOREIGN)
    await cases.peppers.add(actor)
    for presented in (FOREIGN, OTHER):
        keyring.digests = 0
        await cases.verify(presented)
        assert keyring.digests == 2


async def test_only_the_first_import_takes_a_revision(cases: UseCases, actor: Actor) -> None:
    """So that verifiers stop refusing unseen. Later ones alter no verdict, and return no sooner:
    the first one may still be waiting for a verifier that doesn't answer.
    """
    new = NewKey("ws_1", KeySettings("a key"))
    _, first = await cases.importing.import_keys(actor, "ws_1", [ImportedKey(Secret(FOREIGN), new)])
    assert (first.revision, first.sessions_acknowledged, cases.fence.asked) == (1, 7, [1])

    _, later = await cases.importing.import_keys(actor, "ws_1", [ImportedKey(Secret(OTHER), new)])
    assert (later.revision, later.sessions_acknowledged, cases.fence.asked) == (1, 7, [1, 1])
    async with reading(cases.store) as tx:
        assert await tx.feed.since(0, 10) == [(1, "imports")]
        assert (await tx.leases.terms()).foreign_secrets


async def test_every_key_has_its_entry(cases: UseCases, actor: Actor) -> None:
    """One for each, in the order of the request, and one for the change itself; no secret in any."""
    keys = await cases.take(actor, FOREIGN, OTHER)

    change, *entries = await cases.audit.page(AuditFilter(), 10, None)

    assert (change.subject, change.revision) == ("imports", 1)
    assert [entry.subject for entry in reversed(entries)] == [key.id for key in keys]
    assert {(one.revision, one.workspace_id, one.details["name"]) for one in entries} == {
        (0, "ws_1", "a key")
    }
    assert not {FOREIGN, OTHER} & {value for one in entries for value in one.details.values()}


@pytest.mark.parametrize(
    ("secret", "hint"),
    [
        ("0123456789abcdef", "01…ef"),
        ("0123456789abcdef" + "x" * 7, "01…xx"),
        ("0123456789abcdef" + "x" * 8, "012…xxx"),
        ("0123456789abcdef" * 2, "0123…cdef"),
        ("0123456789abcdef" * 16, "0123…cdef"),
    ],
)
async def test_a_hint_is_a_quarter_at_most(
    cases: UseCases, actor: Actor, secret: str, hint: str
) -> None:
    """The shorter the secret, the less of it is shown."""
    [key] = await cases.take(actor, secret)

    assert [stored.hint for stored in key.secrets] == [hint]


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 15,
        "x" * 257,
        "sixteen letters or more",
        "naïve-and-long-enough",
        "tabs\tare-not-visible",
        "x" * 20 + "\n",
        KEY_PREFIX + "x" * 20,
        TOKEN_PREFIX + "x" * 20,
        pytest.param(mint("key_0123456789ABCDEF").reveal(), id="one of ours"),
    ],
)
async def test_what_is_no_foreign_secret(cases: UseCases, actor: Actor, secret: str) -> None:
    """16 to 256 visible ASCII characters, unlike our own; nothing of it is repeated."""
    error = await refused(cases.take(actor, FOREIGN, secret))

    assert error.reason is Reason.FIELD_INVALID
    assert error.metadata == {"field": "keys[1].secret", "index": "1"}
    assert secret not in error.message
    assert (await cases.verify(FOREIGN)).verdict is Verdict.UNKNOWN


async def test_limits_of_an_entry_name_it(cases: UseCases, actor: Actor) -> None:
    """Each key keeps to what new keys keep to, and the refusal says which one does not."""
    good = ImportedKey(Secret(FOREIGN), NewKey("ws_1", KeySettings("a key")))
    bad = replace(good, secret=Secret(OTHER), new=NewKey("ws_1", KeySettings("")))

    error = await refused(cases.importing.import_keys(actor, "ws_1", [good, bad]))

    assert error.message == "keys[1].name is empty"
    assert error.metadata == {"field": "keys[1].name", "index": "1"}


@pytest.mark.parametrize("count", [0, 1_001])
async def test_none_and_too_many(cases: UseCases, actor: Actor, count: int) -> None:
    """1 to 1,000 at a time."""
    error = await refused(cases.take(actor, *(f"{FOREIGN}{n}" for n in range(count))))

    assert error.metadata == {"field": "keys"}


async def test_a_secret_twice_in_a_request(cases: UseCases, actor: Actor) -> None:
    """The second one is named."""
    error = await refused(cases.take(actor, FOREIGN, OTHER, FOREIGN))

    assert (error.reason, error.metadata["field"]) == (Reason.FIELD_INVALID, "keys[2].secret")


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_secret_imported_before(cases: UseCases, actor: Actor, revoked: bool) -> None:
    """Refused whole, whoever has it and in whatever state, and whose it is stays unsaid."""
    [key] = await cases.take(actor, FOREIGN, workspace_id="ws_2")
    if revoked:
        await cases.revoking.revoke(actor, [key.id], RevocationReason.UNUSED, "")

    error = await refused(cases.take(actor, OTHER, FOREIGN))

    assert (error.reason, error.metadata) == (Reason.SECRET_TAKEN, {"index": "1"})
    assert "ws_2" not in error.message + str(error.metadata)
    assert key.id not in error.message
    assert (await cases.verify(OTHER)).verdict is Verdict.UNKNOWN


async def test_workspaces_that_cannot_be_imported_into(cases: UseCases, actor: Actor) -> None:
    """One that is suspended, one that is not there, one that the caller may not see."""
    await cases.workspaces.update(actor, "ws_2", name=None, suspended=True, etag="")
    attempts = [
        (actor, "ws_2", Reason.WORKSPACE_SUSPENDED),
        (actor, "ws_9", Reason.WORKSPACE_NOT_FOUND),
        (an_actor("ws_2"), "ws_1", Reason.WORKSPACE_NOT_FOUND),
    ]
    for who, workspace_id, reason in attempts:
        error = await refused(cases.take(who, FOREIGN, workspace_id=workspace_id))
        assert error.reason is reason
    async with reading(cases.store) as tx:
        assert not (await tx.leases.terms()).foreign_secrets


async def test_rotating_an_imported_key(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """It gets a secret of ours; the foreign one ends after the overlap, and is revoked from then."""
    [key] = await cases.take(actor, FOREIGN)
    _, minted = await cases.rotate(actor, key.id, overlap=10 * SECOND)

    answers = await cases.verify_all([FOREIGN, minted])
    assert [answer.verdict for answer in answers] == [Verdict.VALID, Verdict.VALID]
    assert answers[0].cache_for == 10 * SECOND

    clock.time += 10 * SECOND
    answers = await cases.verify_all([FOREIGN, minted])
    assert [answer.verdict for answer in answers] == [Verdict.REVOKED, Verdict.VALID]
    assert not answers[0].key_revoked
    assert (await refused(cases.take(actor, FOREIGN))).reason is Reason.SECRET_TAKEN


async def test_expired_and_revoked(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """An imported key ends as any other does."""
    [expiring] = await cases.take(actor, FOREIGN, expire_time=START + DAY)
    [revoked] = await cases.take(actor, OTHER)
    await cases.revoking.revoke(actor, [revoked.id], RevocationReason.UNUSED, "")
    clock.time += DAY

    answers = await cases.verify_all([FOREIGN, OTHER])

    assert [answer.verdict for answer in answers] == [Verdict.EXPIRED, Verdict.REVOKED]
    assert [answer.key.id for answer in answers if answer.key] == [expiring.id, revoked.id]


async def test_lookup(cases: UseCases, actor: Actor) -> None:
    """A foreign secret is malformed until any was imported; then it leads to its key, or nowhere."""
    assert (await refused(cases.finding.lookup(actor, FOREIGN))).reason is Reason.SECRET_MALFORMED

    [key] = await cases.take(actor, FOREIGN)

    assert await cases.finding.lookup(actor, FOREIGN) == key
    for who, secret in ((actor, OTHER), (an_actor("ws_2"), FOREIGN)):
        error = await refused(cases.finding.lookup(who, secret))
        assert (error.reason, error.metadata) == (Reason.KEY_NOT_FOUND, {"key_id": ""})


async def test_peppers_of_imported_secrets(cases: UseCases, actor: Actor) -> None:
    """They are counted, verify under any version in use, and go with a version that is retired."""
    [key] = await cases.take(actor, FOREIGN)
    await cases.peppers.add(actor)
    await cases.peppers.activate(actor, 2)
    [newer] = await cases.take(actor, OTHER)
    assert [stored.pepper_version for one in (key, newer) for stored in one.secrets] == [1, 2]
    answers = await cases.verify_all([FOREIGN, OTHER])
    assert [answer.verdict for answer in answers] == [Verdict.VALID, Verdict.VALID]
    assert (await refused(cases.take(actor, FOREIGN))).reason is Reason.SECRET_TAKEN
    assert (await refused(cases.peppers.retire(actor, 1))).reason is Reason.PEPPER_IN_USE

    await cases.revoking.revoke(actor, [key.id], RevocationReason.UNUSED, "")
    await cases.peppers.retire(actor, 1)

    assert (await cases.verify(FOREIGN)).verdict is Verdict.UNKNOWN
    [again] = await cases.take(actor, FOREIGN)
    assert again.id != key.id


async def test_a_pepper_that_is_not_at_hand(
    cases: UseCases, actor: Actor, keyring_file: Path
) -> None:
    """What another process may have imported under it gets no verdict: not even UNKNOWN."""
    behind = FileKeyring.load(keyring_file)
    await cases.peppers.add(actor)
    await cases.peppers.activate(actor, 2)
    await cases.take(actor, FOREIGN)
    others = UseCases(cases.store, behind)

    attempts = [
        others.verify(FOREIGN),
        others.finding.lookup(actor, FOREIGN),
        others.take(actor, FOREIGN),
        others.revoking_presented.revoke(actor, FOREIGN, ""),
    ]
    for attempt in attempts:
        error = await refused(attempt)
        assert (error.reason, error.metadata) == (Reason.KEYRING_MISMATCH, {"version": "2"})


async def test_a_digest_of_the_books_is_no_secret(cases: UseCases, actor: Actor) -> None:
    """What is stored does not act."""
    [key] = await cases.take(actor, FOREIGN)

    answers = await cases.verify_all([key.secrets[0].digest.hex()])

    assert [answer.verdict for answer in answers] == [Verdict.UNKNOWN]
