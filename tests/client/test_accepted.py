"""Which secrets wait behind no stranger."""

from __future__ import annotations

from keyauthority.client import Verdict, VerifiedKey
from keyauthority.client.accepted import Accepted
from keyauthority.client.verification import Verification
from keyauthority.coherence.entries import digest_of
from keyauthority.domain import secrets

REFUSED = Verification(Verdict.UNKNOWN, None)


def valid(key_id: str) -> Verification:
    return Verification(Verdict.VALID, VerifiedKey(key_id, "ws_1", "one", (), {}))


def vouched(accepted: Accepted, secret: str) -> bool:
    return accepted.vouches(secret, digest_of(secret))


def test_a_secret_that_was_accepted_is_known() -> None:
    """By what it is, wherever its key came from."""
    accepted = Accepted(10)
    accepted.note(digest_of("an imported secret"), valid("key_1"))

    assert vouched(accepted, "an imported secret")
    assert not vouched(accepted, "an imported secret, not quite")


def test_a_secret_that_turned_bad_is_a_stranger() -> None:
    """A revoked key in a loop waits like any other."""
    accepted = Accepted(10)
    accepted.note(digest_of("one"), valid("key_1"))
    accepted.note(digest_of("one"), Verification(Verdict.DISABLED, None))

    assert not vouched(accepted, "one")


def test_the_next_secret_of_a_known_key_is_vouched_for_once() -> None:
    """Whoever has learnt an id gets one guess; another after the key's owner was seen again."""
    accepted, key_id = Accepted(10), secrets.new_id("key")
    old, new, *guesses = [secrets.mint(key_id).reveal() for _ in range(5)]
    accepted.note(digest_of(old), valid(key_id))

    assert vouched(accepted, new)
    assert not any(vouched(accepted, guess) for guess in guesses)
    accepted.note(digest_of(guesses[0]), REFUSED)
    assert not vouched(accepted, guesses[1])

    accepted.note(digest_of(old), valid(key_id))
    assert vouched(accepted, guesses[1])


def test_an_unknown_id_vouches_for_nothing() -> None:
    """Anybody can make one up."""
    assert not vouched(Accepted(10), secrets.mint(secrets.new_id("key")).reveal())


def test_it_is_bounded() -> None:
    """What was accepted longest ago is forgotten."""
    accepted = Accepted(10)
    for number in range(11):
        accepted.note(digest_of(str(number)), valid(f"key_{number}"))

    assert [vouched(accepted, str(number)) for number in (0, 1, 10)] == [False, True, True]
    assert len(accepted._digests._members) == len(accepted._key_ids._members) == 10
