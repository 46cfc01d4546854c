"""The grammar of the `Authorization` header: a presented secret, or none."""

import re
from collections.abc import Sequence

from keyauthority.client import digest_of

# credentials = "Bearer" 1*SP b64token (RFC 6750, section 2.1).
# The scheme is case-insensitive (RFC 9110, section 11.1).
_match = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)", re.ASCII).fullmatch


class Presented:
    """A secret as it was presented, and the digest that caches know it by.

    Each request makes one, so it is made in as few steps as there are; its `repr` shows neither.
    """

    __slots__ = ("digest", "secret")

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.digest = digest_of(secret)


def parse_authorization(values: Sequence[str]) -> Presented | None:
    """Return the one secret presented by *values*, all `Authorization` header values of a request.

    Returns:
        The token as sent, or None when there is no header, more than one, another scheme, no
        token, several tokens, or a byte the grammar does not know.
    """
    if len(values) != 1:
        return None
    match = _match(values[0])
    return Presented(match[1]) if match else None
