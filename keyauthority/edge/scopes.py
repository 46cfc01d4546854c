"""Whether a key's scopes allow a request.

A scope allows what its rules name, and nothing else. So a request is allowed only if every reading of its
path by an upstream is one that the rules name: the path has to begin as the rule is spelt, byte for byte,
and nothing behind that may lead out of it again, however it is decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from keyauthority.edge.paths import canonical
from keyauthority.scopes.catalogue import Allowance, Scope


class ScopeRules:
    """The rules of one edge: what each scope of *catalogue* allows."""

    def __init__(self, catalogue: Iterable[Scope]) -> None:
        self._allows = {scope.name: scope.allows for scope in catalogue}

    def allow(self, scopes: Collection[str], method: str, path: str) -> bool:
        """Returns whether a key with *scopes*, which are some, may send *method* to the raw *path*.

        A scope that is not in the catalogue allows nothing.
        """
        for scope in scopes:
            for allowance in self._allows.get(scope, ()):
                if _covers(allowance, method, path):
                    return _stays(path)
        return False

    def missing(self, method: str, path: str) -> str:
        """Returns what to say to a key that may not send *method* to the raw *path*: the scopes it needs."""
        scopes = [scope for scope in self._allows if self.allow((scope,), method, path)]
        return " or ".join(scopes) or "only a key without scopes may make it"


def _stays(path: str) -> bool:
    # Whether no reading of it leads from where it begins to elsewhere: by dots, also with an extension,
    # or by what no two servers read alike.
    segments = canonical(path)
    return segments is not None and "." not in segments


def _covers(allowance: Allowance, method: str, path: str) -> bool:
    if allowance.methods is not None and method not in allowance.methods:
        return False
    return path == allowance.path or path.startswith(f"{allowance.path}/")
