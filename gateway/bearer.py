"""The grammar of the `Authorization` header: a presented secret, or a refusal."""

import re
from collections.abc import Sequence

from gateway.envelope import Refusal

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1).
# The scheme is case-insensitive (RFC 9110, section 11.1).
_match = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)", re.ASCII).fullmatch


def parse_authorization(values: Sequence[str]) -> str | Refusal:
    """Return the one secret presented by *values*, all `Authorization` header values of a request.

    Returns:
        The token as sent, or `Refusal.MISSING_AUTH` when there is no header, more than one,
        another scheme, no token, several tokens, or a byte the grammar does not know.
    """
    if len(values) != 1:
        return Refusal.MISSING_AUTH
    match = _match(values[0])
    return match[1] if match else Refusal.MISSING_AUTH
