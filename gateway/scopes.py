"""Scopes that path prefixes ask for: the `--require-scope PREFIX=SCOPE` rules."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_PARAMETERS: Final = re.compile(";[^/]*")


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """Paths at or below *prefix* ask the key for *scope*, also a key that has no scopes."""

    prefix: str
    scope: str

    @classmethod
    def parse(cls, text: str) -> "ScopeRule":
        """Read `PREFIX=SCOPE`; raise ValueError with one sentence if it is not that."""
        prefix, _, scope = text.partition("=")
        if not prefix.startswith("/") or not scope:
            raise ValueError(f"{text!r} is not PREFIX=SCOPE with a prefix such as /v1/images")
        return cls(prefix.rstrip("/"), scope)

    def covers(self, path: str) -> bool:
        """Tell whether *path*, already decoded, is the prefix or below it."""
        return path == self.prefix or path.startswith(self.prefix + "/")


class ScopeRules:
    """All rules of one gateway; without any, every path is satisfied by every key."""

    def __init__(self, rules: Iterable[ScopeRule] = ()) -> None:
        self._rules = tuple(rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def satisfied(self, path: str, scopes: Collection[str]) -> bool:
        """Tell whether *scopes* hold all that the raw path *path* asks for."""
        if not self._rules:
            return True
        # Neither an encoded letter nor `;parameters`, which some servers drop, may step around a
        # rule.
        decoded = _PARAMETERS.sub("", unquote(path))
        return all(rule.scope in scopes for rule in self._rules if rule.covers(decoded))

    def all_satisfied(self, scopes: Collection[str]) -> bool:
        """Tell whether *scopes* satisfy every rule: the only safe answer for an unknown path."""
        return all(rule.scope in scopes for rule in self._rules)
