"""The grammar of the `Authorization` header."""

from __future__ import annotations

import re
from collections.abc import Sequence

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1).
# The scheme is case-insensitive (RFC 9110, section 11.1).
_match = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)", re.ASCII).fullmatch


def bearer_token(values: Sequence[str]) -> str | None:
    """Returns the token of *values*, all `Authorization` headers of a request.

    None when there is no header, more than one, another scheme, no token, several tokens, or a
    byte that the grammar does not allow.
    """
    if len(values) != 1:
        return None
    match = _match(values[0])
    return match[1] if match else None
