"""The catalogue of scopes: their names, what they are for, and the requests that each allows.

It is a TOML file, by default `default.toml` beside this one, whose first lines explain the format.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from keyauthority.domain import limits
from keyauthority.domain.errors import KeyAuthorityError

Catalogue = tuple["Scope", ...]

DEFAULT_FILE: Final = Path(__file__).with_name("default.toml")
OFF: Final = "off"
"""Stands for no catalogue where a file may be named: somebody else judges scopes."""

_LONGEST_DESCRIPTION: Final = 200
_FIELDS: Final = frozenset({"name", "description", "allow"})
_is_method = re.compile(r"[A-Z]+(?:-[A-Z]+)*").fullmatch
# Characters that no server reads as others, in segments that are not dots alone.
_is_path = re.compile(r"/|(?:/(?!\.+(?:/|$))[A-Za-z0-9._~:@!$&'()=-]+)+/?").fullmatch


class ScopeRulesError(ValueError):
    """Rules that are none; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Requests with one of `methods` (None: any) at `path` or below.

    The path has no slash at its end, so that of all paths is empty.
    """

    methods: frozenset[str] | None
    path: str


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope: `description` says to people what a key with it may do, `allows` to the gateway."""

    name: str
    description: str
    allows: tuple[Allowance, ...]


@lru_cache(1)
def default_catalogue() -> Catalogue:
    """Returns the scopes of an OpenAI-compatible API."""
    return parse_catalogue(DEFAULT_FILE.read_text(encoding="utf-8"))


def load_catalogue(setting: str) -> Catalogue | None:
    """Returns the catalogue in the file that *setting* names; None if it is `off`.

    Raises `ScopeRulesError`, with the file's name.
    """
    if setting == OFF:
        return None
    try:
        return parse_catalogue(Path(setting).read_text(encoding="utf-8"))
    except OSError as error:
        raise ScopeRulesError(f"{setting} can't be read: {error.strerror}") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeError) else error
        raise ScopeRulesError(f"{setting}: {reason}") from None


def parse_catalogue(text: str) -> Catalogue:
    """Returns the scopes in *text*, which is TOML. Raises `ScopeRulesError`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScopeRulesError(f"it is not TOML: {error}") from None
    unknown = document.keys() - {"scope"}
    if unknown:
        raise ScopeRulesError(f"it has {min(unknown)!r}, where only [[scope]] may be")
    tables = document.get("scope", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ScopeRulesError("a scope begins with [[scope]], in double brackets")
    if not tables:
        raise ScopeRulesError("it has no [[scope]], so no key with scopes could do anything")
    scopes = tuple(_scope(number, table) for number, table in enumerate(tables, start=1))
    names = [scope.name for scope in scopes]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ScopeRulesError(f"two scopes have the name {name!r}")
    return scopes


def _scope(number: int, table: Mapping[str, Any]) -> Scope:
    name = table.get("name")
    if not isinstance(name, str):
        raise ScopeRulesError(f"scope {number} has no name, such as name = 'models:read'")
    try:
        limits.scopes([name])
    except KeyAuthorityError:
        raise ScopeRulesError(
            f"scope {number}: {name!r} is not 1 to {limits.SCOPE_LENGTH} characters of"
            " a-z A-Z 0-9 : . _ / * -"
        ) from None
    unknown = table.keys() - _FIELDS
    if unknown:
        raise ScopeRulesError(
            f"scope {name!r} has {min(unknown)!r}: it may have name, description and allow"
        )
    entries = table.get("allow")
    if not isinstance(entries, list) or not entries:
        raise ScopeRulesError(
            f"scope {name!r} has no list of what it allows, such as allow = ['GET /v1/models']"
        )
    return Scope(name, _description(name, table), tuple(_allowance(name, e) for e in entries))


def _description(name: str, table: Mapping[str, Any]) -> str:
    text = table.get("description")
    if (
        not isinstance(text, str)
        or not 1 <= len(text) <= _LONGEST_DESCRIPTION
        or not text.isprintable()
        or text != text.strip()
    ):
        raise ScopeRulesError(
            f"scope {name!r} has no description: a line of up to {_LONGEST_DESCRIPTION} characters"
            " that says to people what it allows"
        )
    return text


def _allowance(name: str, entry: object) -> Allowance:
    words = entry.split(" ") if isinstance(entry, str) else []
    if len(words) != 2:  # noqa: PLR2004
        raise ScopeRulesError(
            f"scope {name!r} allows {entry!r}, which is not METHODS PATH, such as 'GET /v1/models'"
        )
    methods, path = words
    if not _is_path(path):
        raise ScopeRulesError(
            f"scope {name!r} allows the path {path!r}: write one such as /v1/models, which covers"
            " what is below it; it has no wildcards, percent signs, dot segments and queries"
        )
    return Allowance(_methods(name, methods), path.rstrip("/"))


def _methods(name: str, text: str) -> frozenset[str] | None:
    if text == "*":
        return None
    methods = frozenset(text.split(","))
    if not all(map(_is_method, methods)):
        raise ScopeRulesError(
            f"scope {name!r} allows the methods {text!r}: write them such as GET or GET,POST, or *"
        )
    return methods | {"HEAD"} if "GET" in methods else methods
