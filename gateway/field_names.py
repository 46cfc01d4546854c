"""The names of header fields: those of one connection, and decisions about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from keyauthority.edge.identity import canonical

_Name = TypeVar("_Name", bound=str | bytes)

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

MOST_DECISIONS: Final = 1_000
_LONGEST_NAME: Final = 100
is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def named_by_connection(headers: CIMultiDictProxy[str]) -> set[str]:
    """Returns the names, as `canonical` does, of the fields that concern this connection alone."""
    # First a set: a header of thousands of commas names one field at most.
    names = {name.strip() for name in ",".join(headers.getall(hdrs.CONNECTION)).split(",")}
    return {canonical(name) for name in names if is_token(name)}


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
