"""Which page a path names: exact segments, and named ones that hold ids and one-time links."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from console.access import Needs

if TYPE_CHECKING:
    from console.visit import Visit
    from keyauthority.base.http.answer import Answer

Page = Callable[["Visit"], Awaitable["Answer"]]

_NAMED: Final = re.compile(r"\{(\w+)\}")
# What ids, one-time links and file names are made of: no dot segments, no escapes, no markup.
_SEGMENT: Final = r"(?P<\1>[A-Za-z0-9_-]{1,128})"


@dataclass(frozen=True, slots=True)
class Route:
    """One page: `GET` shows it, `POST` is its form."""

    method: str
    # For instance `/workspaces/{workspace}/keys`.
    path: str
    page: Page
    needs: Needs
    # Whether its answer shows a secret, which any other page then takes away.
    shows_secret: bool = False


class Router:
    """Finds routes by path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self._rules = [
            (re.compile(_NAMED.sub(_SEGMENT, path)), methods) for path, methods in by_path.items()
        ]

    def above(self, path: str) -> str:
        """The nearest page above *path* that can be opened."""
        while path := path.rpartition("/")[0]:
            found = self.find(path)
            if found is not None and "GET" in found[0]:
                return path
        return "/"

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]] | None:
        """The routes at *path* by method, and what its named segments hold."""
        for rule, methods in self._rules:
            if match := rule.fullmatch(path):
                return methods, match.groupdict()
        return None
