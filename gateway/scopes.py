"""Scopes that path prefixes ask for: the `--require-scope PREFIX=SCOPE` rules."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.readings import canonical

_is_prefix = re.compile(r"/|(?:/[^/\\%;?#\s\x00-\x1f\x7f]+)+/?").fullmatch


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """Paths at or below *prefix* ask the key for *scope*, also a key that has no scopes."""

    prefix: str
    scope: str

    @classmethod
    def parse(cls, text: str) -> "ScopeRule":
        """Read `PREFIX=SCOPE`; raise ValueError with one sentence if it is not that."""
        prefix, _, scope = text.partition("=")
        if not scope or not _is_prefix(prefix) or canonical(prefix) is None:
            raise ValueError(f"{text!r} is not PREFIX=SCOPE with a plain prefix such as /v1/images")
        return cls(prefix.rstrip("/"), scope)


class ScopeRules:
    """All rules of one gateway; without any, every path is satisfied by every key."""

    def __init__(self, rules: Iterable[ScopeRule] = ()) -> None:
        self._rules = [(canonical(rule.prefix) or (), rule.scope) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def satisfied(self, path: str, scopes: Collection[str]) -> bool:
        """Tell whether *scopes* hold all that the raw path *path* asks for.

        It asks for what any of its readings asks for (`gateway.readings`), and for the scope of
        every rule if these have no common form.
        """
        if not self._rules:
            return True
        segments = canonical(path)
        if segments is None:
            return self.all_satisfied(scopes)
        return all(
            scope in scopes for prefix, scope in self._rules if segments[: len(prefix)] == prefix
        )

    def all_satisfied(self, scopes: Collection[str]) -> bool:
        """Tell whether *scopes* satisfy every rule: the only safe answer for an unknown path."""
        return all(scope in scopes for _, scope in self._rules)
