"""Which request header fields go on to the upstream: those of a list, and what a setting adds.

A field that is on no list stays here. Upstreams believe header fields that no list of what to drop
would foresee: who the client is, which path or method is meant, who pays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy

from keyauthority.base.http.request import REQUEST_ID

IDENTITY_PREFIX: Final = "x-opentoken-"
"""Header fields with this prefix are the gateway's own word; copies from elsewhere are dropped."""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Between two neighbours only (RFC 9110, section 7.6.1), with what `Connection` names."""

_NAMES: Final = frozenset(
    {
        # What is sent, and what is asked for.
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
        # Repeating a request, and finding it again.
        "b3",
        "baggage",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "x-client-request-id",
    }
)
_PREFIXES: Final = ("anthropic-", "openai-", "x-b3-", "x-stainless-")
# Whose account the upstream bills is not the caller's choice.
_UNLESS_NAMED: Final = frozenset({"openai-organization", "openai-project"})

_NEVER: Final = HOP_BY_HOP | {
    # The gateway writes its own framing, target and id.
    "content-length",
    "expect",
    "host",
    "via",
    REQUEST_ID,
    # Credentials: the upstream gets its own, and learns none of its callers'.
    "api-key",
    "authorization",
    "cookie",
    "x-api-key",
    "x-goog-api-key",
}
_TOO_WIDE: Final = frozenset({"", "x-"})

_is_pattern = re.compile(r"[a-z0-9-]+|(?:[a-z0-9-]+-)?\*").fullmatch
_odd = re.compile("[^a-z0-9]")


def canonical(name: str) -> str:
    """Return *name* as servers see it that turn header names into variables.

    They cannot tell one character that is neither letter nor digit from another.
    """
    return _odd.sub("-", name.lower())


def options(values: Iterable[str]) -> set[str]:
    """Return the field names, in lower case, that the `Connection` fields *values* list."""
    return {option.strip().lower() for value in values for option in value.split(",")}


class Passing:
    """The request header fields that go on.

    Args:
        also: Names of fields that go on beside those of the list; one that ends in `-*` stands for
            all that begin so.

    Raises:
        ValueError: One of them may not go on. The message is a sentence.
    """

    def __init__(self, also: Iterable[str] = ()) -> None:
        patterns = [_checked(pattern) for pattern in also]
        self._names = _NAMES.union(name for name in patterns if not name.endswith("*"))
        self._added = tuple(name[:-1] for name in patterns if name.endswith("*"))

    def of(self, headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
        """Return the fields of *headers* that go on, in their order."""
        names, added = self._names, self._added
        kept = CIMultiDict(
            [
                (name, value)
                for name, value in headers.items()
                if (lower := name.lower()) in names
                or (lower.startswith(_PREFIXES) and lower not in _UNLESS_NAMED)
                or (lower.startswith(added) and _is_theirs(lower))
            ]
        )
        if hdrs.CONNECTION in headers:
            for option in options(headers.getall(hdrs.CONNECTION)):
                kept.popall(option, None)
        return kept


def _is_theirs(name: str) -> bool:
    seen = canonical(name)
    return seen not in _NEVER and not seen.startswith(IDENTITY_PREFIX)


def _checked(pattern: str) -> str:
    lower = pattern.strip().lower()
    if not _is_pattern(lower):
        raise ValueError(f"{pattern!r} is no name of letters, digits and dashes, nor NAME-*")
    if lower in _NEVER or lower.startswith(IDENTITY_PREFIX):
        raise ValueError(f"{pattern!r} never goes on: it is the gateway's own, or a credential")
    if lower.endswith("*") and lower[:-1] in _TOO_WIDE:
        raise ValueError(
            f"{pattern!r} would pass on what upstreams take for the client's address, path or name"
        )
    return lower
