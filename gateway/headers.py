"""Header fields on their way through the gateway, in each direction.

To the upstream go those that `passing` lists. To the client goes what is not named here: an API
grows headers that no list would foresee, and the client believes the upstream anyway.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.passing import HOP_BY_HOP, IDENTITY_PREFIX, Passing, canonical, options
from keyauthority.base.http.request import REQUEST_ID
from keyauthority.client import Secret, VerifiedKey

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

# Of the greatest length that there is.
_DIGITS: Final = 20
_VIA: Final = "1.1 opentoken"
_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


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
    kept = passing.of(headers)
    if not _is_encodable("".join(kept.values())):
        return None
    # Only now, so that no `Connection` field can name these away.
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
    if _has_control("".join(kept.values())) or len(kept.get(hdrs.CONTENT_LENGTH, "")) > _DIGITS:
        return None
    return kept


def identity(key: VerifiedKey) -> tuple[tuple[istr, str], ...]:
    """Return the headers that say whose request it is.

    All three are always there, if need be empty: a proxy that copies them must not leave a
    client's own copy standing.
    """
    return ((WORKSPACE_ID, key.workspace_id), (KEY_ID, key.id), (SCOPES, " ".join(key.scopes)))


def _without(headers: CIMultiDictProxy[str], dropped: frozenset[str]) -> CIMultiDict[str]:
    if hdrs.CONNECTION in headers:
        dropped = dropped.union(options(headers.getall(hdrs.CONNECTION)))
    kept = [(name, value) for name, value in headers.items() if name.lower() not in dropped]
    names = "".join([name for name, _ in kept])
    # Most have letters, digits and dashes alone, and none like ours.
    odd = not (names.isascii() and names.replace("-", "").isalnum())
    if odd or IDENTITY_PREFIX in names.lower():
        kept = [(name, value) for name, value in kept if not _is_dropped(name, dropped)]
    return CIMultiDict(kept)


def _is_dropped(name: str, dropped: frozenset[str]) -> bool:
    name = canonical(name)
    return name in dropped or name.startswith(IDENTITY_PREFIX)


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
