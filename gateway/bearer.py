"""The grammar of a presented secret, in the `Authorization` header or alone."""

import re
from collections.abc import Sequence

from keyauthority.client import digest_of

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1).
# The scheme is case-insensitive (RFC 9110, section 11.1).
_TOKEN = r"([A-Za-z0-9\-._~+/]+=*)"
_match = re.compile(f"(?i:bearer) +{_TOKEN}", re.ASCII).fullmatch
_is_token = re.compile(_TOKEN, re.ASCII).fullmatch


class Presented:
    """A secret as it was presented, and its digest in caches. Its `repr` shows neither."""

    __slots__ = ("digest", "secret")

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.digest = digest_of(secret)


def parse_authorization(values: Sequence[str]) -> Presented | None:
    """Returns the secret that a request presents in *values*, all its `Authorization` headers.

    None when there is no header, more than one, another scheme, no token, several tokens, or a
    byte that the grammar does not allow.
    """
    if len(values) != 1:
        return None
    match = _match(values[0])
    return Presented(match[1]) if match else None


def parse_token(value: str) -> Presented | None:
    """Returns the secret that *value*, a header of a key alone, is; None if the grammar forbids it."""
    return Presented(value) if _is_token(value) else None
