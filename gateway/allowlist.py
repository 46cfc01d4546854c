"""Which header fields of a request go on to the upstream.

Upstreams believe header fields that no list of what to drop would foresee: who the client is, which path
or method is meant, who pays. So they get the fields of a list, and those that a setting adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.field_names import HOP_BY_HOP, Decisions
from keyauthority.base.http.request import REQUEST_ID
from keyauthority.edge.identity import IDENTITY_PREFIX, canonical

RawFields = Sequence[tuple[bytes, bytes]]

_NAMES: Final = frozenset(
    {
        # Content, and content negotiation.
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-digest",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "digest",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-event-id",
        "pragma",
        "prefer",
        "priority",
        "range",
        "repr-digest",
        "user-agent",
        # Retries and tracing.
        "b3",
        "baggage",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "x-client-request-id",
    }
)
_PREFIXES: Final = ("anthropic-", "openai-", "x-b3-", "x-stainless-")
# The caller does not choose whose account the upstream bills.
_UNLESS_NAMED: Final = frozenset({"openai-organization", "openai-project"})

CREDENTIALS: Final = frozenset({"api-key", "x-api-key", "x-goog-api-key"})
"""Fields in which clients of some APIs present their keys."""

NEVER: Final = HOP_BY_HOP | {
    # The gateway writes its own.
    "content-length",
    "expect",
    "host",
    "via",
    REQUEST_ID,
    # The upstream gets its own credential, and learns no client's.
    "authorization",
    "cookie",
    *CREDENTIALS,
}
"""Fields of a request that no setting passes on."""

_TOO_WIDE: Final = frozenset({"", "x-"})
_CODING: Final = b"accept-encoding"
_is_pattern = re.compile(r"[a-z0-9-]+|(?:[a-z0-9-]+-)?\*").fullmatch


class Allowlist:
    """The request header fields that go on: those of the list, and the *further* ones.

    A name that ends in `-*` stands for all that begin so. Fields of the names *withheld* never go on.
    Raises ValueError, with a sentence, for a name that may not go on.
    """

    def __init__(self, further: Iterable[str] = (), withheld: Iterable[str] = ()) -> None:
        self._never = NEVER.union(withheld)
        patterns = [_checked(pattern, self._never) for pattern in further]
        self._names = _NAMES.union(name for name in patterns if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in patterns if name.endswith("*"))
        self._decisions = Decisions(self._allows)
        self._uncoded = Decisions(self._allows_uncoded)

    def filter(self, raw: RawFields, *, uncoded: bool = False) -> list[tuple[bytes, bytes]]:
        """Returns the fields of *raw* that go on, in their order.

        *uncoded*: without those that ask for a compressed answer.
        """
        decisions = self._uncoded if uncoded else self._decisions
        return [field for field in raw if decisions[field[0]]]

    def _allows_uncoded(self, name: bytes) -> bool:
        return name.lower() != _CODING and self._allows(name)

    def _allows(self, name: bytes) -> bool:
        lower = name.decode("latin-1").lower()
        wanted = lower in self._names or goes_on(lower) or lower.startswith(self._prefixes)
        return wanted and self._is_clients(lower)

    def _is_clients(self, name: str) -> bool:
        read = canonical(name)
        return read not in self._never and not read.startswith(IDENTITY_PREFIX)


def goes_on(name: str) -> bool:
    """Returns whether the field *name*, in lower case, goes on without a setting that says so."""
    return name in _NAMES or (name.startswith(_PREFIXES) and name not in _UNLESS_NAMED)


def _checked(pattern: str, never: AbstractSet[str]) -> str:
    lower = pattern.strip().lower()
    if not _is_pattern(lower):
        raise ValueError(f"{pattern!r} is no name of letters, digits and dashes, nor NAME-*")
    if lower in never or lower.startswith(IDENTITY_PREFIX):
        raise ValueError(f"{pattern!r} never goes on: it is the gateway's own, or a credential")
    if lower.endswith("*") and lower[:-1] in _TOO_WIDE:
        raise ValueError(
            f"{pattern!r} would pass on what upstreams take for the client's address, path or name"
        )
    return lower
