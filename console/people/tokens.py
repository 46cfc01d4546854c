"""Ids, and the tokens of links and sessions, of which only the digest is kept."""

from __future__ import annotations

import hashlib
import secrets
import string
from typing import Final

from keyauthority.client import Secret

_ALPHABET: Final = string.digits + string.ascii_letters
_ID_LENGTH: Final = 16
_TOKEN_BYTES: Final = 32


def new_id(kind: str) -> str:
    """A fresh id: *kind*, an underscore and 16 random base62 characters."""
    return f"{kind}_{''.join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))}"


def new_token() -> Secret:
    """A fresh token of 256 random bits, as base64url."""
    return Secret(secrets.token_urlsafe(_TOKEN_BYTES))


def digest(text: str) -> bytes:
    """What is kept of a token, and of a name that is only ever looked up."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
