"""Redirects of the upstream to itself, which go on to the client with an address of ours.

Only 307 and 308, after which a client sends the same request again. They are not followed here: a body that
was streamed is gone, and the new path may require another scope and have another price. So the client asks
again, and is judged again.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from keyauthority.edge.paths import check_path, holds_secret

REPEATING: Final = frozenset({307, 308})
"""The statuses of redirects that go on."""

_PORTS: Final = {"http": 80, "https": 443}


def location_here(base: str, target: str, location: str) -> str | None:
    """Returns what a client may ask for instead of *target*, if *location* is that; else None.

    *base* is what stands before `/v1/...` in the upstream's URLs. The location has to be of the same origin
    and below the same base. Elsewhere our credential does not go, nor does the client past the gateway.
    """
    if not location.isascii() or not location.isprintable():
        return None
    try:
        theirs, there = urlsplit(base), urlsplit(urljoin(base + target, location))
        if _origin(theirs) != _origin(there) or not there.path.startswith(theirs.path):
            return None
    except ValueError:
        return None
    path = there.path.removeprefix(theirs.path)
    here = f"{path}?{there.query}" if there.query else path
    is_refused = check_path(path) is not None or " " in here or holds_secret(here)
    return None if is_refused else here


def _origin(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    # With the user that a URL may name: ours names none.
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
