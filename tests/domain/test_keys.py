"""What becomes of a key by itself, without books."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.domain.keys import (
    KEPT_SECRETS,
    Key,
    KeySettings,
    KeyState,
    Revocation,
    RevocationReason,
    Who,
)
from tests.conformance.records import DAY, MICROSECOND, SECOND, START, a_key, a_secret

NOW = START + DAY
BY = Who("person_1", "alice@example.com")
REVOCATION = Revocation(START, RevocationReason.UNUSED, "")


@pytest.mark.parametrize("revoked", [True, False])
@pytest.mark.parametrize("disabled", [True, False])
@pytest.mark.parametrize("expired", [True, False])
def test_the_state_of_a_key(revoked: bool, disabled: bool, expired: bool) -> None:
    """Revoked comes before disabled, disabled before expired."""
    key = a_key(
        revocation=REVOCATION if revoked else None,
        disabled=disabled,
        expire_time=NOW - SECOND if expired else NOW + SECOND,
    )

    expected = KeyState.EXPIRED if expired else KeyState.ACTIVE
    expected = KeyState.DISABLED if disabled else expected
    assert key.state(NOW) is (KeyState.REVOKED if revoked else expected)


def test_a_key_ends_at_its_expiry() -> None:
    """The moment itself is already after it; without one it never comes."""
    key = a_key(expire_time=NOW)

    assert not key.expired(NOW - MICROSECOND)
    assert key.expired(NOW)
    assert not a_key(expire_time=None).expired(NOW + 100_000 * DAY)


def test_a_secret_ends_at_its_end() -> None:
    """So is the moment that a rotated secret ends."""
    secret = a_secret(end_time=NOW)

    assert not secret.ended(NOW - MICROSECOND)
    assert secret.ended(NOW)
    assert not a_secret().ended(NOW + 100_000 * DAY)


def test_an_end_is_never_put_off() -> None:
    """A secret that ends sooner keeps its end."""
    assert a_secret(end_time=NOW).ending_by(NOW + DAY).end_time == NOW
    assert a_secret(end_time=NOW + DAY).ending_by(NOW).end_time == NOW
    assert a_secret().ending_by(NOW).end_time == NOW


def rotated(key: Key, times: int, overlap: timedelta, apart: timedelta) -> Key:
    for turn in range(times):
        now = NOW + turn * apart
        key = key.rotated(now, a_secret(f"{turn}".encode(), create_time=now), now + overlap)
    return key


@given(st.integers(1, 10), st.integers(0, 5), st.integers(0, 5))
def test_at_most_two_secrets_live(times: int, overlap: int, apart: int) -> None:
    """However often and however fast a key is rotated, the newest lives and at most one more."""
    key = rotated(a_key(), times, overlap * SECOND, apart * SECOND)
    now = NOW + (times - 1) * apart * SECOND

    living = [secret for secret in key.secrets if not secret.ended(now)]
    assert len(living) == (2 if overlap else 1)
    assert living[0] is key.secrets[0]
    assert living[0].end_time is None
    assert living[0].digest == f"{times - 1}".encode()
    assert len(key.secrets) == times + 1


def test_a_key_remembers_a_hundred_secrets() -> None:
    """Beyond that the oldest is forgotten; the newest come first."""
    key = rotated(a_key(), KEPT_SECRETS + 5, timedelta(), SECOND)

    assert len(key.secrets) == KEPT_SECRETS == 100
    assert [secret.digest for secret in key.secrets] == [
        f"{turn}".encode() for turn in reversed(range(5, KEPT_SECRETS + 5))
    ]


def test_a_change_that_changes_nothing() -> None:
    """The key is itself: same version, same update time."""
    key = a_key(name="a key", scopes=("a",), labels={"b": "c"})

    assert key.updated(NOW, KeySettings("a key", scopes=("a",), labels={"b": "c"})) is key
    assert key.updated(NOW, key.settings.merged(KeySettings("other"), ())) is key


def test_a_change() -> None:
    """It counts, and is dated; the rest of the key stays."""
    key = a_key()
    changed = key.updated(NOW, replace(key.settings, disabled=True))

    assert changed == a_key(disabled=True, version=key.version + 1, update_time=NOW)


def test_a_revocation_is_final() -> None:
    """The first one's reason, note and time stay."""
    key = a_key().revoked(NOW, RevocationReason.COMPROMISED, "found in a log", BY)

    assert key.revocation == Revocation(NOW, RevocationReason.COMPROMISED, "found in a log", BY)
    assert (key.version, key.update_time) == (2, NOW)
    assert key.revoked(NOW + DAY, RevocationReason.UNUSED, "again", BY) is key


def test_a_key_does_not_show_its_digests() -> None:
    """Not in its `repr`, so not in a log either."""
    assert "digest" not in repr(a_key())
