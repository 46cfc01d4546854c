"""Header fields on their way through the gateway, in each direction.

To the upstream go those of a list, and what a setting adds; a field that is on no list stays here.
Upstreams believe header fields that no list of what to drop would foresee: who the client is, which
path or method is meant, who pays. To the client goes what is not named here: an API grows headers
that no list would foresee, and the client believes the upstream anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from keyauthority.base.http.request import REQUEST_ID
from keyauthority.client import Secret, VerifiedKey

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
WORKSPACE_ID: Final = istr("x-opentoken-workspace-id")
KEY_ID: Final = istr("x-opentoken-key-id")
SCOPES: Final = istr("x-opentoken-scopes")
IDENTITY: Final = frozenset({WORKSPACE_ID, KEY_ID, SCOPES})

_DROPPED_FROM_UPSTREAM: Final = HOP_BY_HOP | {
    REQUEST_ID,
    # What the upstream is, and what it says about its own host name.
    "alt-svc",
    "nel",
    "report-to",
    "reporting-endpoints",
    "server",
    "strict-transport-security",
    "via",
    "x-powered-by",
    # Its challenges and cookies are meant for the gateway, which keeps no cookies.
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
}

_NAMES_KEPT: Final = 1_000
_LONGEST_KEPT: Final = 100
# Of the greatest length that there is.
_DIGITS: Final = 20
_VIA: Final = "1.1 opentoken"
_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


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
        self._goes_on = _Decisions(self._decide)

    def of(self, headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
        """Return the fields of *headers* that go on, in their order."""
        goes_on = self._goes_on
        passed = CIMultiDict([field for field in headers.items() if goes_on[field[0]]])
        if hdrs.CONNECTION in headers:
            for option in options(headers.getall(hdrs.CONNECTION)):
                passed.popall(option, None)
        return passed

    def _decide(self, name: str) -> bool:
        lower = name.lower()
        return (
            lower in self._names
            or (lower.startswith(_PREFIXES) and lower not in _UNLESS_NAMED)
            or (lower.startswith(self._added) and _is_theirs(lower))
        )


class _Decisions(dict[str, bool]):
    """What was decided about field names, spelt as they came: requests bring the same few.

    Bounded, since strangers may send as many as they like.
    """

    def __init__(self, decide: Callable[[str], bool]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, name: str) -> bool:
        if len(self) >= _NAMES_KEPT or len(name) > _LONGEST_KEPT:
            return self._decide(name)
        decision = self[name] = self._decide(name)
        return decision


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


def to_upstream(
    headers: CIMultiDictProxy[str],
    passing: Passing,
    key: VerifiedKey,
    request_id: str,
    credential: Secret | None,
) -> CIMultiDict[str] | None:
    """Return the request header fields for the upstream.

    Args:
        headers: The client's fields.
        passing: Which of them go on.
        key: The verified key, told to the upstream in the identity headers.
        request_id: The id of the request.
        credential: The upstream's own API key, or None if it wants none.

    Returns:
        The fields without framing, or None if a value is not valid UTF-8 and so could not be
        passed on as it is.
    """
    passed = passing.of(headers)
    if not _is_encodable("".join(passed.values())):
        return None
    # Only now, so that no `Connection` field can name these away.
    passed.extend(identity(key))
    passed[REQUEST_ID] = request_id
    passed[hdrs.VIA] = _VIA
    if credential is not None:
        passed[hdrs.AUTHORIZATION] = f"Bearer {credential.reveal()}"
    return passed


def to_client(headers: CIMultiDictProxy[str]) -> CIMultiDict[str] | None:
    """Return the response header fields for the client, or None if one is no valid HTTP."""
    passed = CIMultiDict([field for field in headers.items() if _TO_CLIENT[field[0]]])
    if hdrs.CONNECTION in headers:
        for option in options(headers.getall(hdrs.CONNECTION)):
            passed.popall(option, None)
    # The parser of responses is lenient; the writer is not.
    if _has_control("".join(passed.values())) or len(passed.get(hdrs.CONTENT_LENGTH, "")) > _DIGITS:
        return None
    return passed


def identity(key: VerifiedKey) -> tuple[tuple[istr, str], ...]:
    """Return the headers that say whose request it is.

    All three are always there, if need be empty: a proxy that copies them must not leave a
    client's own copy standing.
    """
    return ((WORKSPACE_ID, key.workspace_id), (KEY_ID, key.id), (SCOPES, " ".join(key.scopes)))


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _goes_to_client(name: str) -> bool:
    seen = canonical(name)
    return seen not in _DROPPED_FROM_UPSTREAM and not seen.startswith(IDENTITY_PREFIX)


_TO_CLIENT: Final = _Decisions(_goes_to_client)
