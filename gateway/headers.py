"""Header fields on their way through the gateway, in each direction.

The upstream gets the fields of a list, and those that a setting adds. Upstreams believe header
fields that no list of what to drop would foresee: who the client is, which path or method is meant,
who pays. The client gets all that is not dropped here: an API grows headers that no list would
foresee, and the client believes the upstream anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from keyauthority.base.http.request import REQUEST_ID
from keyauthority.client import Secret, VerifiedKey

_Name = TypeVar("_Name", bound=str | bytes)
RawFields = Sequence[tuple[bytes, bytes]]

IDENTITY_PREFIX: Final = "x-opentoken-"
"""Only the gateway writes header fields with this prefix; it drops copies from elsewhere."""

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
"""They concern one connection (RFC 9110, section 7.6.1), like those that `Connection` names."""

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

_NEVER: Final = HOP_BY_HOP | {
    # The gateway writes its own.
    "content-length",
    "expect",
    "host",
    "via",
    REQUEST_ID,
    # The upstream gets its own credential, and learns no client's.
    "api-key",
    "authorization",
    "cookie",
    "x-api-key",
    "x-goog-api-key",
}
_TOO_WIDE: Final = frozenset({"", "x-"})
_is_pattern = re.compile(r"[a-z0-9-]+|(?:[a-z0-9-]+-)?\*").fullmatch
_odd = re.compile("[^a-z0-9]")
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
WORKSPACE_ID: Final = istr("x-opentoken-workspace-id")
KEY_ID: Final = istr("x-opentoken-key-id")
SCOPES: Final = istr("x-opentoken-scopes")
IDENTITY: Final = frozenset({WORKSPACE_ID, KEY_ID, SCOPES})

_DROPPED_FROM_UPSTREAM: Final = HOP_BY_HOP | {
    REQUEST_ID,
    # These describe the upstream, or concern its host name.
    "alt-svc",
    "nel",
    "report-to",
    "reporting-endpoints",
    "server",
    "strict-transport-security",
    "via",
    "x-powered-by",
    # Challenges and cookies are meant for the gateway, which keeps no cookies.
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
}

MOST_DECISIONS: Final = 1_000
_LONGEST_NAME: Final = 100
# Of the greatest length, a number of 64 bits.
_MOST_DIGITS: Final = 20
_CODING: Final = b"accept-encoding"
_UNCODED: Final = b"Accept-Encoding: identity"
# Lines of a request's header that are ours.
_OWN: Final = 5
_CONTROLS: Final = bytes({*range(32), 127} - {ord("\t")})


def canonical(name: str) -> str:
    """Returns *name* as servers read it that turn header names into variables.

    For them, all characters but letters and digits are the same.
    """
    return _odd.sub("-", name.lower())


def _named(headers: CIMultiDictProxy[str]) -> set[str]:
    # First a set: a header of thousands of commas names one field at most.
    names = {name.strip() for name in ",".join(headers.getall(hdrs.CONNECTION)).split(",")}
    return {canonical(name) for name in names if _is_token(name)}


class Allowlist:
    """The request header fields that go on: those of the list, and the *further* ones.

    A name that ends in `-*` stands for all that begin so. Raises ValueError, with a sentence, for a
    name that may not go on.
    """

    def __init__(self, further: Iterable[str] = ()) -> None:
        patterns = [_checked(pattern) for pattern in further]
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
        return (
            lower in self._names
            or (lower.startswith(_PREFIXES) and lower not in _UNLESS_NAMED)
            or (lower.startswith(self._prefixes) and _is_clients(lower))
        )


class Decisions(dict[_Name, bool], Generic[_Name]):
    """Decisions about field names, spelt as they came, since requests bring the same few.

    They are bounded, since strangers may send any number of names: a full memory begins anew.
    """

    def __init__(self, decide: Callable[[_Name], bool]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, name: _Name) -> bool:
        if len(name) > _LONGEST_NAME:
            return self._decide(name)
        if len(self) >= MOST_DECISIONS:
            self.clear()
        decision = self[name] = self._decide(name)
        return decision


def _is_clients(name: str) -> bool:
    read = canonical(name)
    return read not in _NEVER and not read.startswith(IDENTITY_PREFIX)


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
    raw: RawFields,
    allowlist: Allowlist,
    key: VerifiedKey,
    request_id: str,
    credential: Secret | None,
    *,
    uncoded: bool = False,
) -> list[bytes]:
    """Returns the lines of a request's header for the upstream, without those that frame its body.

    *raw* are *headers* as they came. *key* goes into the identity headers; *credential* is the
    upstream's own API key, if it wants one. *uncoded*: the upstream is asked not to compress.
    """
    fields = allowlist.filter(raw, uncoded=uncoded)
    if hdrs.CONNECTION in headers:
        named = _named(headers)
        fields = [one for one in fields if canonical(one[0].decode("latin-1")) not in named]
    lines = list(map(b": ".join, fields))
    # Only now, so that no `Connection` field can name these away.
    own = (
        f"x-opentoken-workspace-id: {key.workspace_id}\n"
        f"x-opentoken-key-id: {key.id}\n"
        f"x-opentoken-scopes: {' '.join(key.scopes)}\n"
        f"x-request-id: {request_id}\n"
        "Via: 1.1 opentoken"
    )
    # A break within one of them would not make one more line.
    lines += own.encode().split(b"\n", _OWN - 1)
    if uncoded:
        lines.append(_UNCODED)
    if credential is not None:
        lines.append(f"{hdrs.AUTHORIZATION}: Bearer {credential.reveal()}".encode())
    return lines


def written(lines: list[bytes]) -> bytes | None:
    """Returns the head of a request.

    None if it would not say what its *lines* say: one has a control character, or is no valid UTF-8.
    """
    head = b"\r\n".join([*lines, b"", b""])
    try:
        head.decode()
    except UnicodeDecodeError:
        return None
    return head if _controls(head) == 2 * (len(lines) + 1) else None


def to_client(headers: CIMultiDictProxy[str]) -> CIMultiDict[str] | None:
    """Returns the response header fields for the client, or None if one is no valid HTTP."""
    fields = [field for field in headers.items() if _TO_CLIENT[field[0]]]
    if hdrs.CONNECTION in headers:
        named = _named(headers)
        fields = [field for field in fields if canonical(field[0]) not in named]
    passed = CIMultiDict(fields)
    # The parser of responses is lenient; the writer is not.
    values = "".join(passed.values()).encode(errors="surrogateescape")
    too_long = len(passed.get(hdrs.CONTENT_LENGTH, "")) > _MOST_DIGITS
    return None if too_long or _controls(values) else passed


def identity(key: VerifiedKey) -> tuple[tuple[istr, str], ...]:
    """Returns the headers that say whose request it is.

    All three are always there, if need be empty: a proxy that copies them must leave no copy of a
    client's own standing.
    """
    return ((WORKSPACE_ID, key.workspace_id), (KEY_ID, key.id), (SCOPES, " ".join(key.scopes)))


def _controls(text: bytes) -> int:
    return len(text) - len(text.translate(None, _CONTROLS))


def _goes_to_client(name: str) -> bool:
    if not _is_token(name):
        # The parser lets through `Transfer-Encoding ` with its space.
        return False
    read = canonical(name)
    return read not in _DROPPED_FROM_UPSTREAM and not read.startswith(IDENTITY_PREFIX)


_TO_CLIENT: Final = Decisions(_goes_to_client)
