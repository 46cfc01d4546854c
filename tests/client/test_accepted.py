"""Which secrets wait behind no stranger."""

from __future__ import annotations

import pytest

from keyauthority.client import Verdict, VerifiedKey
from keyauthority.client.accepted import Accepted
from keyauthority.client.verification import Verification
from keyauthority.coherence.entries import Entries, digest_of
from keyauthority.domain import secrets

REFUSED = Verification(Verdict.UNKNOWN, None)


def accepted_by(most: int = 10) -> Accepted:
    """What knows nothing yet, beside an empty cache."""
    return Accepted(Entries(most), most)


def valid(key_id: str) -> Verification:
    return Verification(Verdict.VALID, VerifiedKey(key_id, "ws_1", "one", (), {}))


def vouched(accepted: Accepted, secret: str) -> bool:
    return accepted.vouches(secret, digest_of(secret))


def test_a_secret_that_was_accepted_is_known() -> None:
    """By what it is, wherever its key came from."""
    accepted = accepted_by()
    accepted.note(digest_of("an imported secret"), valid("key_1"))

    assert vouched(accepted, "an imported secret")
    assert not vouched(accepted, "an imported secret, not quite")


def test_a_secret_that_turned_bad_is_a_stranger() -> None:
    """A revoked key in a loop waits like any other."""
    accepted = accepted_by()
    accepted.note(digest_of("one"), valid("key_1"))
    accepted.note(digest_of("one"), Verification(Verdict.DISABLED, None))

    assert not vouched(accepted, "one")


def test_the_next_secret_of_a_known_key_is_vouched_for_once() -> None:
    """Whoever has learnt an id gets one guess; another after the key's owner was seen again."""
    accepted, key_id = accepted_by(), secrets.new_id("key")
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
    assert not vouched(accepted_by(), secrets.mint(secrets.new_id("key")).reveal())


def test_it_is_bounded() -> None:
    """What was accepted longest ago is forgotten."""
    accepted = accepted_by()
    for number in range(11):
        accepted.note(digest_of(str(number)), valid(f"key_{number}"))

    assert [vouched(accepted, str(number)) for number in (0, 1, 10)] == [False, True, True]
    assert len(accepted._digests._members) == len(accepted._key_ids._members) == 10


@pytest.mark.parametrize("then", ["stays", "evicted", "dropped"])
def test_what_is_in_the_cache_is_known_and_remembered_when_it_goes(then: str) -> None:
    """Memory is spent on those alone that no verdict is there for any more."""
    cached: Entries[Verification] = Entries(1)
    accepted, key_id = Accepted(cached, 10), secrets.new_id("key")
    old, new = [secrets.mint(key_id).reveal() for _ in range(2)]
    cached.put(digest_of(old), valid(key_id))
    accepted.note(digest_of(old), valid(key_id))
    assert not accepted._digests._members

    if then == "evicted":
        cached.put(digest_of("another"), valid("key_2"))
    elif then == "dropped":
        cached.drop_subject(key_id)

    assert accepted.knows(digest_of(old))
    assert vouched(accepted, new)
    assert not vouched(accepted, new)


def test_a_refusal_in_the_cache_is_no_acquaintance() -> None:
    """Nor after it is dropped, whatever was known of the secret before."""
    cached: Entries[Verification] = Entries(10)
    accepted = Accepted(cached, 10)
    cached.put(digest_of("one"), valid("key_1"))
    cached.put(digest_of("one"), REFUSED)
    accepted.note(digest_of("one"), REFUSED)

    assert not vouched(accepted, "one")
    cached.drop_all()
    assert not vouched(accepted, "one")
