"""Etags (AIP-154): they show whether a record has changed since it was read."""

from __future__ import annotations

import hashlib

from keyauthority.domain.errors import KeyAuthorityError, Reason


def etag(record_id: str, version: int) -> str:
    """Returns the opaque etag of a *version* of a record."""
    return hashlib.sha256(f"{record_id} {version}".encode()).hexdigest()[:16]


def check(expected: str, record_id: str, version: int) -> None:
    """Raises `ETAG_MISMATCH` unless *expected* is empty or the record's etag."""
    current = etag(record_id, version)
    if expected and expected != current:
        raise KeyAuthorityError(
            Reason.ETAG_MISMATCH, "the record changed since it was read", etag=current
        )
