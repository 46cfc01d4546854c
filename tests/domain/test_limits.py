"""What the fields of requests may hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.domain import limits
from keyauthority.domain.errors import KeyAuthorityError, Reason
from tests.conformance.records import DAY, MICROSECOND, START

YEARS = timedelta(days=3653)


def expiry(after: timedelta) -> object:
    return limits.expire_time(START + after, START)


GOOD: list[tuple[Callable[[Any], object], Any]] = [
    (limits.name, "a"),
    (limits.name, " ä key, 鍵 🔑 "),
    (limits.name, "x" * 100),
    (limits.note, ""),
    (limits.note, "two\nlines"),
    (limits.note, "x" * 500),
    (limits.scopes, []),
    (limits.scopes, ["a", "A-Z:0.9_/*", "x" * 128]),
    (limits.scopes, [f"scope{n}" for n in range(32)]),
    (limits.labels, {}),
    (limits.labels, {"k" * 63: "v" * 63, "empty": ""}),
    (limits.labels, {f"label{n}": "" for n in range(16)}),
    (expiry, MICROSECOND),
    (expiry, YEARS),
    (limits.overlap, timedelta()),
    (limits.overlap, 90 * DAY),
    (limits.request_id, ""),
    (limits.request_id, "!~" * 32),
    (limits.certificate_name, ""),
    (limits.certificate_name, "spiffe://acme/gateway"),
    (limits.certificate_name, "x" * 253),
    (lambda given: limits.batch(given, "key_ids"), ["key_1"]),
    (lambda given: limits.batch(given, "key_ids"), ["key_1"] * 1_000),
    (limits.presented, "x"),
    (limits.presented, "x" * 8_192),
    (limits.presented, "é" * 4_096),
]

BAD: list[tuple[str, Callable[[Any], object], Any]] = [
    ("name", limits.name, ""),
    ("name", limits.name, " \u3000 "),
    ("name", limits.name, "x" * 101),
    ("name", limits.name, "two\nlines"),
    ("name", limits.name, "a\0b"),
    ("name", limits.name, "\u202eevil"),
    ("name", limits.name, "\ud800"),
    ("note", limits.note, "x" * 501),
    ("note", limits.note, "\n" * 501),
    ("note", limits.note, "a\x1b[31mb"),
    ("scopes", limits.scopes, [""]),
    ("scopes", limits.scopes, ["x" * 129]),
    ("scopes", limits.scopes, ["a b"]),
    ("scopes", limits.scopes, ["a,b"]),
    ("scopes", limits.scopes, ["ä"]),
    ("scopes", limits.scopes, ["a\n"]),
    ("scopes", limits.scopes, ["a", "a"]),
    ("scopes", limits.scopes, [f"scope{n}" for n in range(33)]),
    ("labels", limits.labels, {"": "value"}),
    ("labels", limits.labels, {"k" * 64: ""}),
    ("labels", limits.labels, {"key": "v" * 64}),
    ("labels", limits.labels, {"key": "a\nb"}),
    ("labels", limits.labels, {f"label{n}": "" for n in range(17)}),
    ("expire_time", expiry, timedelta()),
    ("expire_time", expiry, -MICROSECOND),
    ("expire_time", expiry, YEARS + MICROSECOND),
    ("overlap", limits.overlap, -MICROSECOND),
    ("overlap", limits.overlap, 90 * DAY + MICROSECOND),
    ("request_id", limits.request_id, "x" * 65),
    ("request_id", limits.request_id, "a b"),
    ("request_id", limits.request_id, "a\n"),
    ("request_id", limits.request_id, "é"),
    ("certificate_name", limits.certificate_name, "x" * 254),
    ("certificate_name", limits.certificate_name, "a b"),
    ("key_ids", lambda given: limits.batch(given, "key_ids"), []),
    ("key_ids", lambda given: limits.batch(given, "key_ids"), ["key_1"] * 1_001),
    ("secret", limits.presented, ""),
    ("secret", limits.presented, "x" * 8_193),
    ("secret", limits.presented, "é" * 4_097),
]


@pytest.mark.parametrize(("check", "given_"), GOOD)
def test_within_the_limits(check: Callable[[Any], object], given_: Any) -> None:
    """What keeps to the limits is taken unchanged, up to the limit itself."""
    result = check(given_)

    if check is limits.scopes:
        given_ = tuple(given_)
    assert result == (START + given_ if check is expiry else given_)


@pytest.mark.parametrize(("field", "check", "given_"), BAD)
def test_beyond_the_limits(field: str, check: Callable[[Any], object], given_: Any) -> None:
    """What breaks one is refused in a sentence that names the field."""
    with pytest.raises(KeyAuthorityError) as refused:
        check(given_)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.metadata == {"field": field}
    assert refused.value.message.startswith(f"{field} ")
    assert len(refused.value.message) < 120


def test_a_key_without_expiry() -> None:
    """None means never, and stays None."""
    assert limits.expire_time(None, START) is None


@given(st.text(st.characters(codec=None)))
def test_a_refused_secret_is_not_repeated(text: str) -> None:
    """Whatever was presented is taken or refused for its length, and the refusal holds none of it."""
    long = text * 9_000
    if not long:
        return
    with pytest.raises(KeyAuthorityError) as refused:
        limits.presented(long)

    assert refused.value.message == "secret is longer than 8,192 bytes"
