"""Etags (AIP-154): tell whether a record is still what was read."""

from __future__ import annotations

import hashlib

from keyauthority.domain.errors import KeyAuthorityError, Reason


def etag(record_id: str, version: int) -> str:
    """The opaque etag of a record that has changed *version* times."""
    return hashlib.sha256(f"{record_id} {version}".encode()).hexdigest()[:16]


def check(given: str, record_id: str, version: int) -> None:
    """Raises `ETAG_MISMATCH` unless *given* is empty or the record's etag."""
    current = etag(record_id, version)
    if given and given != current:
        raise KeyAuthorityError(
            Reason.ETAG_MISMATCH, "the record changed since it was read", etag=current
        )
