"""What the fields of a request may hold. Every check raises `FIELD_INVALID` naming the field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence, Sized
from datetime import datetime, timedelta
from typing import Final, TypeVar

from keyauthority.domain import secrets
from keyauthority.domain.errors import invalid

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
"""As long as an e-mail address."""
LIFETIME: Final = timedelta(days=3653)
"""Ten years, whichever of them are leap years."""
OVERLAP: Final = timedelta(days=90)
BATCH: Final = 1_000
SECRET_BYTES: Final = 8_192

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")

_is_scope = re.compile(r"[A-Za-z0-9:._/*-]+").fullmatch
_is_request_id = re.compile(r"[\x21-\x7e]+").fullmatch


def name(text: str, field: str = "name") -> str:
    """A name for people: 1 to 100 printable characters, of which at least one can be seen."""
    if not any(map(_is_seen, text)):
        raise invalid(field, "is empty")
    return _text(text, field, NAME_LENGTH)


def printable(text: str, field: str) -> str:
    """What something calls itself: up to 100 printable characters, or nothing."""
    return _text(text, field, NAME_LENGTH)


def note(text: str) -> str:
    """A note: up to 500 characters; line breaks are welcome."""
    _text(text.replace("\n", " "), "note", NOTE_LENGTH)
    return text


def scopes(given: Sequence[str]) -> tuple[str, ...]:
    """Up to 32 scopes, each once."""
    if len(given) > SCOPES:
        raise invalid("scopes", f"has {len(given)} entries, more than {SCOPES}")
    for scope in given:
        if len(scope) > SCOPE_LENGTH or not _is_scope(scope):
            raise invalid(
                "scopes", f"must each be 1 to {SCOPE_LENGTH} characters of a-z A-Z 0-9 : . _ / * -"
            )
    if len(set(given)) < len(given):
        raise invalid("scopes", "names a scope twice")
    return tuple(given)


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Up to 16 labels with keys of 1 to 63 and values of up to 63 characters."""
    if len(given) > LABELS:
        raise invalid("labels", f"has {len(given)} entries, more than {LABELS}")
    for key, value in given.items():
        if not key:
            raise invalid("labels", "has an empty key")
        _text(key, "labels", LABEL_LENGTH)
        _text(value, "labels", LABEL_LENGTH)
    return dict(given)


def expire_time(given: datetime | None, now: datetime) -> datetime | None:
    """A moment in the future, at most ten years away; or None, for never."""
    if given is None:
        return None
    if given <= now:
        raise invalid("expire_time", "is not in the future")
    if given > now + LIFETIME:
        raise invalid("expire_time", "is more than 10 years away")
    return given


def overlap(given: timedelta) -> timedelta:
    """How long a rotated secret lives on: nothing to 90 days."""
    if not timedelta() <= given <= OVERLAP:
        raise invalid("overlap", "is not between nothing and 90 days")
    return given


def request_id(given: str) -> str:
    """Empty, or 1 to 64 visible ASCII characters."""
    if given and (len(given) > REQUEST_ID_LENGTH or not _is_request_id(given)):
        raise invalid("request_id", f"is not 1 to {REQUEST_ID_LENGTH} visible ASCII characters")
    return given


def certificate_name(given: str) -> str:
    """Empty, or a subject alternative name of up to 253 visible ASCII characters."""
    if given and (len(given) > CERTIFICATE_NAME_LENGTH or not _is_request_id(given)):
        raise invalid(
            "certificate_name", f"is not 1 to {CERTIFICATE_NAME_LENGTH} visible ASCII characters"
        )
    return given


def person_id(given: str, field: str) -> str:
    """1 to 64 visible ASCII characters, unlike a caller's id."""
    if not 1 <= len(given) <= PERSON_ID_LENGTH or not _is_request_id(given):
        raise invalid(
            field, f"has an id that is not 1 to {PERSON_ID_LENGTH} visible ASCII characters"
        )
    if given.startswith("caller_"):
        raise invalid(field, "has an id that begins like a caller's")
    return given


def person_name(given: str, field: str) -> str:
    """Up to 254 printable characters, or nothing."""
    if len(given) > PERSON_NAME_LENGTH:
        raise invalid(field, f"has a name that is longer than {PERSON_NAME_LENGTH} characters")
    if not given.isprintable():
        raise invalid(field, "has a name with characters that can't be printed")
    return given


def batch(given: Entries, field: str) -> Entries:
    """1 to 1,000 entries."""
    if not 1 <= len(given) <= BATCH:
        raise invalid(field, f"has {len(given)} entries, not 1 to {BATCH:,}")
    return given


def ids(given: Sequence[str], kind: str) -> Sequence[str]:
    """1 to 1,000 ids of a *kind*, each once."""
    field = f"{kind}_ids"
    batch(given, field)
    if len(set(given)) < len(given):
        raise invalid(field, f"names a {kind} twice")
    return given


def presented(secret: str, field: str = "secret") -> str:
    """What somebody presented as a secret: not empty, at most 8,192 bytes."""
    if not secret:
        raise invalid(field, "is empty")
    if len(secret) > SECRET_BYTES or len(secret.encode("utf-8", "replace")) > SECRET_BYTES:
        raise invalid(field, f"is longer than {SECRET_BYTES:,} bytes")
    return secret


def foreign_secret(secret: str) -> str:
    """A secret minted elsewhere: 16 to 256 visible ASCII characters, unlike our own."""
    if secret.startswith((secrets.KEY_PREFIX, secrets.TOKEN_PREFIX)):
        raise invalid("secret", "begins like the secrets that this authority mints")
    if not secrets.is_foreign(secret):
        raise invalid("secret", "is not 16 to 256 visible ASCII characters")
    return secret


def _is_seen(character: str) -> bool:
    # Letters, numbers, punctuation, symbols; but not the letters that show nothing.
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK


def _text(text: str, field: str, length: int) -> str:
    if len(text) > length:
        raise invalid(field, f"is longer than {length} characters")
    if not text.isprintable():
        raise invalid(field, "holds characters that can't be printed")
    return text
