"""Header fields in which a client may present its key beside `Authorization`, as `x-api-key` is.

Such a field has the key alone, without a scheme, and only one of all these fields may be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDictProxy, istr

from gateway.allowlist import CREDENTIALS, NEVER, goes_on
from gateway.bearer import Presented, parse_authorization, parse_token
from keyauthority.edge.identity import IDENTITY_PREFIX

_PROXYS: Final = (IDENTITY_PREFIX, "x-forwarded-", "x-original-")
_is_name = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch


class KeyHeaders:
    """The fields of *names*; raises ValueError, with a sentence, for one that can't have a key."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names: Final = tuple(map(istr, dict.fromkeys(map(_checked, names))))

    def are_in(self, headers: CIMultiDictProxy[str]) -> bool:
        """Returns whether *headers* have one of these fields or `Authorization`."""
        return hdrs.AUTHORIZATION in headers or any(name in headers for name in self.names)

    def read(self, headers: CIMultiDictProxy[str]) -> Presented | None:
        """Returns the secret that a request with *headers* presents.

        None if there is none, if it is malformed, or if there is another in any of these fields or in
        `Authorization`: which of them was meant is not guessed.
        """
        authorization = headers.getall(hdrs.AUTHORIZATION, ())
        # Most gateways take no such field, and need no look.
        keys = self.names and [key for name in self.names for key in headers.getall(name, ())]
        if not keys:
            return parse_authorization(authorization)
        return parse_token(keys[0]) if len(keys) == 1 and not authorization else None


def _checked(name: str) -> str:
    lower = name.strip().lower()
    if not _is_name(lower):
        raise ValueError(f"{name!r} is no name of letters, digits and dashes")
    if lower == "authorization":
        raise ValueError(f"{name!r} is read in any case")
    taken = goes_on(lower) or lower in NEVER - CREDENTIALS or lower.startswith(_PROXYS)
    if taken:
        raise ValueError(f"{name!r} means something else")
    return lower
