"""The grammar of a presented secret, in the `Authorization` header or in a header of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1).
# The scheme is case-insensitive (RFC 9110, section 11.1).
_TOKEN = r"([A-Za-z0-9\-._~+/]+=*)"
_match = re.compile(f"(?i:bearer) +{_TOKEN}", re.ASCII).fullmatch
_is_token = re.compile(_TOKEN, re.ASCII).fullmatch


def bearer_token(values: Sequence[str]) -> str | None:
    """Returns the token of *values*, all `Authorization` headers of a request.

    None when there is no header, more than one, another scheme, no token, several tokens, or a
    byte that the grammar does not allow.
    """
    if len(values) != 1:
        return None
    match = _match(values[0])
    return match[1] if match else None


def plain_token(value: str) -> str | None:
    """Returns *value*, a header that has a token without a scheme; None if the grammar forbids it."""
    return value if _is_token(value) else None
