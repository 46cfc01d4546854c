"""What the fields of a request may hold.

Every check returns the value, and raises `FIELD_INVALID` with the name of the field.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence, Sized
from datetime import datetime, timedelta
from typing import Final, TypeVar

from keyauthority.domain import secrets
from keyauthority.domain.errors import invalid
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Pattern

Entries = TypeVar("Entries", bound=Sized)

NAME_LENGTH: Final = 100
NOTE_LENGTH: Final = 500
SCOPES: Final = 32
SCOPE_LENGTH: Final = 128
LABELS: Final = 16
LABEL_LENGTH: Final = 63
REQUEST_ID_LENGTH: Final = 64
CERTIFICATE_NAME_LENGTH: Final = 253
PERSON_ID_LENGTH: Final = 64
PERSON_NAME_LENGTH: Final = 254
"""The length of the longest e-mail address."""
LIFETIME: Final = timedelta(days=3653)
"""Ten years, of which up to three are leap years."""
OVERLAP: Final = timedelta(days=90)
REFERENCE_LENGTH: Final = 128
PATTERN_LENGTH: Final = 256
PRIORITY: Final = 100
BATCH: Final = 1_000
SECRET_BYTES: Final = 8_192

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")

_is_scope = re.compile(r"[A-Za-z0-9:._/*-]+").fullmatch
_is_ascii = re.compile(r"[\x21-\x7e]+").fullmatch


def name(text: str, field: str = "name") -> str:
    """Checks a name for people: 1 to 100 printable characters, at least one of them visible."""
    if not any(map(_is_visible, text)):
        raise invalid(field, "is empty")
    return printable(text, field)


def printable(text: str, field: str) -> str:
    """Checks what a program calls itself: up to 100 printable characters, or nothing."""
    return short(text, field, NAME_LENGTH)


def note(text: str, field: str = "note") -> str:
    """Checks a note: up to 500 characters, line breaks included."""
    short(text.replace("\n", " "), field, NOTE_LENGTH)
    return text


def amount(nano_credits: int, field: str = "amount_nano_credits") -> int:
    """Checks an amount of credits: from 1 to 10^17 nano-credits."""
    if not 1 <= nano_credits <= LARGEST_AMOUNT:
        raise invalid(field, f"is not from 1 to {LARGEST_AMOUNT}")
    return nano_credits


def short(text: str, field: str, length: int) -> str:
    """Checks a text: up to *length* printable characters, or nothing."""
    if len(text) > length:
        raise invalid(field, f"is longer than {length} characters")
    if not text.isprintable():
        raise invalid(field, "holds characters that can't be printed")
    return text


def in_range(nano_credits: int, field: str, most: int = LARGEST_AMOUNT) -> None:
    """Checks an amount of credits: from 0 to *most* nano-credits."""
    if not 0 <= nano_credits <= most:
        raise invalid(field, f"is not from 0 to {most}")


def counted(number: int, field: str) -> None:
    """Checks a number that counts from 1."""
    if number < 1:
        raise invalid(field, "is not 1 or more")


def at_most(entries: Collection[object], most: int, field: str) -> None:
    """Checks a list of up to *most* entries."""
    if len(entries) > most:
        raise invalid(field, f"has {len(entries)} entries, more than {most:,}")


def reference(text: str, field: str) -> str:
    """Checks the name of a ledger entry: 1 to 128 printable characters."""
    if not text.strip():
        raise invalid(field, "is empty")
    return short(text, field, REFERENCE_LENGTH)


def pattern(text: str, field: str) -> str:
    """Checks a pattern of models or paths: 1 to 256 printable characters, and a `*` at most at the end."""
    try:
        Pattern(text)
    except ValueError:
        raise invalid(field, "is no name, and no beginning of one with a * at its end") from None
    return short(text, field, PATTERN_LENGTH)


def scopes(names: Sequence[str]) -> tuple[str, ...]:
    """Checks up to 32 different scopes."""
    at_most(names, SCOPES, "scopes")
    for scope in names:
        if len(scope) > SCOPE_LENGTH or not _is_scope(scope):
            raise invalid(
                "scopes", f"must each be 1 to {SCOPE_LENGTH} characters of a-z A-Z 0-9 : . _ / * -"
            )
    if len(set(names)) < len(names):
        raise invalid("scopes", "names a scope twice")
    return tuple(names)


def labels(values: Mapping[str, str]) -> dict[str, str]:
    """Checks up to 16 labels with keys of 1 to 63 and values of up to 63 characters."""
    at_most(values, LABELS, "labels")
    for key, value in values.items():
        if not key:
            raise invalid("labels", "has an empty key")
        short(key, "labels", LABEL_LENGTH)
        short(value, "labels", LABEL_LENGTH)
    return dict(values)


def expire_time(time: datetime | None, now: datetime) -> datetime | None:
    """Checks a moment in the future, at most ten years away; None is never."""
    if time is not None and time <= now:
        raise invalid("expire_time", "is not in the future")
    if time is not None and time > now + LIFETIME:
        raise invalid("expire_time", "is more than 10 years away")
    return time


def lifetime(length: timedelta, field: str = "ttl") -> timedelta:
    """Checks how long something lives: more than nothing, at most 10 years."""
    if not timedelta() < length <= LIFETIME:
        raise invalid(field, "is not between nothing and 10 years")
    return length


def overlap(length: timedelta) -> timedelta:
    """Checks how long a rotated secret still acts: 0 to 90 days."""
    if not timedelta() <= length <= OVERLAP:
        raise invalid("overlap", "is not between nothing and 90 days")
    return length


def request_id(text: str) -> str:
    """Checks an id of a request: empty, or 1 to 64 visible ASCII characters."""
    return _ascii(text, "request_id", REQUEST_ID_LENGTH)


def certificate_name(text: str) -> str:
    """Checks a subject alternative name: empty, or 1 to 253 visible ASCII characters."""
    return _ascii(text, "certificate_name", CERTIFICATE_NAME_LENGTH)


def person_id(text: str, field: str) -> str:
    """Checks a person's id: 1 to 64 visible ASCII characters, unlike a caller's id."""
    if len(text) > PERSON_ID_LENGTH or not _is_ascii(text):
        raise invalid(
            field, f"has an id that is not 1 to {PERSON_ID_LENGTH} visible ASCII characters"
        )
    if text.startswith("caller_"):
        raise invalid(field, "has an id that begins like a caller's")
    return text


def person_name(text: str, field: str) -> str:
    """Checks a person's name: up to 254 printable characters, or nothing."""
    if len(text) > PERSON_NAME_LENGTH:
        raise invalid(field, f"has a name that is longer than {PERSON_NAME_LENGTH} characters")
    if not text.isprintable():
        raise invalid(field, "has a name with characters that can't be printed")
    return text


def batch(entries: Entries, field: str) -> Entries:
    """Checks a list of 1 to 1,000 entries."""
    if not 1 <= len(entries) <= BATCH:
        raise invalid(field, f"has {len(entries)} entries, not 1 to {BATCH:,}")
    return entries


def ids(values: Sequence[str], kind: str) -> Sequence[str]:
    """Checks 1 to 1,000 different ids of a *kind*."""
    field = f"{kind}_ids"
    batch(values, field)
    if len(set(values)) < len(values):
        raise invalid(field, f"names a {kind} twice")
    return values


def presented(secret: str, field: str = "secret") -> str:
    """Checks what was presented as a secret: not empty, at most 8,192 bytes."""
    if not secret:
        raise invalid(field, "is empty")
    if len(secret) > SECRET_BYTES or len(secret.encode("utf-8", "replace")) > SECRET_BYTES:
        raise invalid(field, f"is longer than {SECRET_BYTES:,} bytes")
    return secret


def foreign_secret(secret: str) -> str:
    """Checks a secret minted elsewhere: 16 to 256 visible ASCII characters, unlike our own."""
    if secret.startswith((secrets.KEY_PREFIX, secrets.TOKEN_PREFIX)):
        raise invalid("secret", "begins like the secrets that this authority mints")
    if not secrets.is_foreign(secret):
        raise invalid("secret", "is not 16 to 256 visible ASCII characters")
    return secret


def _is_visible(character: str) -> bool:
    # A letter, number, punctuation or symbol, but not a letter without a shape.
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK


def _ascii(text: str, field: str, length: int) -> str:
    if text and (len(text) > length or not _is_ascii(text)):
        raise invalid(field, f"is not 1 to {length} visible ASCII characters")
    return text
