"""The secret that a request presents, or none."""

from collections.abc import Sequence

from keyauthority.client import digest_of
from keyauthority.edge.bearer import bearer_token, plain_token


class Presented:
    """A secret as it was presented, and its digest in caches. Its `repr` shows neither."""

    __slots__ = ("digest", "secret")

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.digest = digest_of(secret)


def parse_authorization(values: Sequence[str]) -> Presented | None:
    """Returns the secret that a request presents in *values*, all its `Authorization` headers."""
    token = bearer_token(values)
    return None if token is None else Presented(token)


def parse_token(value: str) -> Presented | None:
    """Returns the secret that *value* is, a header of a key alone; None if the grammar forbids it."""
    token = plain_token(value)
    return None if token is None else Presented(token)
