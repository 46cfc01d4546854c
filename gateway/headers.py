"""Header fields on their way through the gateway, in each direction.

The upstream gets the fields of a list (`allowlist`), and ours. The client gets all that is not dropped here: an API grows headers that no list would
foresee, and the client believes the upstream anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.allowlist import Allowlist, RawFields
from gateway.field_names import (
    HOP_BY_HOP,
    Decisions,
    is_token,
    named_by_connection,
)
from keyauthority.base.http.request import REQUEST_ID
from keyauthority.client import Secret, VerifiedKey
from keyauthority.edge import identity as names
from keyauthority.edge.identity import IDENTITY_PREFIX, canonical

WORKSPACE_ID: Final = istr(names.WORKSPACE_ID)
KEY_ID: Final = istr(names.KEY_ID)
SCOPES: Final = istr(names.SCOPES)

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

# Of the greatest length, a number of 64 bits.
_MOST_DIGITS: Final = 20
_UNCODED: Final = b"Accept-Encoding: identity"
# Lines of a request's header that are ours.
_OWN: Final = 5
_FOR_BROWSERS: Final = "access-control-"
_CONTROLS: Final = bytes({*range(32), 127} - {ord("\t")})


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
        named = named_by_connection(headers)
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
    """Returns the head of a request; bytes beyond ASCII are written as they are.

    None if it would not say what its *lines* say: one has a control character.
    """
    head = b"\r\n".join([*lines, b"", b""])
    return head if _controls(head) == 2 * (len(lines) + 1) else None


def to_client(headers: CIMultiDictProxy[str]) -> tuple[CIMultiDict[str], bool] | None:
    """Returns the response header fields for the client, or None if one is no valid HTTP.

    The second value is whether all are ASCII: other bytes go on as they came, which takes longer.
    """
    fields = [field for field in headers.items() if _TO_CLIENT[field[0]]]
    if hdrs.CONNECTION in headers:
        named = named_by_connection(headers)
        fields = [field for field in fields if canonical(field[0]) not in named]
    passed = CIMultiDict(fields)
    # The parser of responses is lenient; the writer is not.
    values = "".join(passed.values())
    too_long = len(passed.get(hdrs.CONTENT_LENGTH, "")) > _MOST_DIGITS
    if too_long or _controls(values.encode(errors="surrogateescape")):
        return None
    return passed, values.isascii()


def allow_pages(headers: CIMultiDict[str], fields: Mapping[str, str]) -> None:
    """Puts *fields*, which say whose pages may read an answer, in place of what its upstream says of that."""
    for name in {name for name in headers if name.lower().startswith(_FOR_BROWSERS)}:
        del headers[name]
    headers.extend(fields)


def identity(key: VerifiedKey) -> tuple[tuple[istr, str], ...]:
    """Returns the headers that say whose request it is.

    All three are always there, if need be empty: a proxy that copies them must leave no copy of a
    client's own standing.
    """
    return ((WORKSPACE_ID, key.workspace_id), (KEY_ID, key.id), (SCOPES, " ".join(key.scopes)))


def _controls(text: bytes) -> int:
    return len(text) - len(text.translate(None, _CONTROLS))


def _goes_to_client(name: str) -> bool:
    if not is_token(name):
        # The parser lets through `Transfer-Encoding ` with its space.
        return False
    read = canonical(name)
    return read not in _DROPPED_FROM_UPSTREAM and not read.startswith(IDENTITY_PREFIX)


_TO_CLIENT: Final = Decisions(_goes_to_client)
