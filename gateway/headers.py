"""Which header fields cross the gateway, in each direction.

What is not named here crosses unchanged: an API grows headers that no list would foresee.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.request_id import HEADER as REQUEST_ID
from keyauthority.client import Secret, VerifiedKey

IDENTITY_PREFIX: Final = "x-opentoken-"
"""Header fields with this prefix are the gateway's own word; copies from elsewhere are dropped."""

WORKSPACE_ID: Final = istr("x-opentoken-workspace-id")
KEY_ID: Final = istr("x-opentoken-key-id")
SCOPES: Final = istr("x-opentoken-scopes")

# Between two neighbours only (RFC 9110, section 7.6.1), with what `Connection` names.
_HOP_BY_HOP: Final = frozenset(
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

_DROPPED_FROM_CLIENT: Final = _HOP_BY_HOP | {
    # The gateway writes its own framing, target and id.
    "content-length",
    "expect",
    "host",
    REQUEST_ID,
    # Credentials: the upstream gets its own, and learns none of its callers'.
    "api-key",
    "authorization",
    "cookie",
    "x-api-key",
    "x-goog-api-key",
    # Whose account the upstream bills is not the caller's choice.
    "openai-organization",
    "openai-project",
    # Where a request came from is anybody's claim, and not the upstream's business.
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
}

_DROPPED_FROM_UPSTREAM: Final = _HOP_BY_HOP | {
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

_VIA: Final = "1.1 opentoken"
_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


def to_upstream(
    headers: CIMultiDictProxy[str], key: VerifiedKey, request_id: str, credential: Secret | None
) -> CIMultiDict[str] | None:
    """Return the request header fields for the upstream.

    Args:
        headers: The client's fields.
        key: The verified key, told to the upstream in the identity headers.
        request_id: The id of the request.
        credential: The upstream's own API key, or None if it wants none.

    Returns:
        The fields without framing, or None if a value is not valid UTF-8 and so could not be
        passed on as it is.
    """
    kept = _without(headers, _DROPPED_FROM_CLIENT)
    if not _is_encodable("".join(kept.values())):
        return None
    # After the stripping, so that no `Connection` field can name these away.
    kept.extend(identity(key))
    kept[REQUEST_ID] = request_id
    kept[hdrs.VIA] = _VIA
    if credential is not None:
        kept[hdrs.AUTHORIZATION] = f"Bearer {credential.reveal()}"
    return kept


def to_client(headers: CIMultiDictProxy[str]) -> CIMultiDict[str] | None:
    """Return the response header fields for the client, or None if one is no valid HTTP."""
    kept = _without(headers, _DROPPED_FROM_UPSTREAM)
    # The parser of responses is lenient; the writer is not.
    return None if _has_control("".join(kept.values())) else kept


def identity(key: VerifiedKey) -> tuple[tuple[istr, str], ...]:
    """Return the headers that say whose request it is.

    All three are always there, if need be empty: a proxy that copies them must not leave a
    client's own copy standing.
    """
    return ((WORKSPACE_ID, key.workspace_id), (KEY_ID, key.id), (SCOPES, " ".join(key.scopes)))


def _without(headers: CIMultiDictProxy[str], dropped: frozenset[str]) -> CIMultiDict[str]:
    if hdrs.CONNECTION in headers:
        dropped = dropped.union(_options(headers.getall(hdrs.CONNECTION)))
    kept = [(name, value) for name, value in headers.items() if name.lower() not in dropped]
    names = " ".join([name for name, _ in kept]).lower()
    if "_" in names or IDENTITY_PREFIX in names:
        kept = [(name, value) for name, value in kept if not _is_dropped(name, dropped)]
    return CIMultiDict(kept)


def _is_dropped(name: str, dropped: frozenset[str]) -> bool:
    # Servers that turn names into variables cannot tell "_" from "-".
    name = name.lower().replace("_", "-")
    return name in dropped or name.startswith(IDENTITY_PREFIX)


def _options(values: Iterable[str]) -> set[str]:
    return {option.strip().lower() for value in values for option in value.split(",")}


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
