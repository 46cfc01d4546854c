"""Keys to import, as files hold them: one JSON object per line. No error repeats what a line holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Final, TypeVar

import click

from keyauthority.cli.values import is_text, parse_moment
from keyauthority.client.admin import ImportedKey, KeySettings
from keyauthority.config import parse_duration
from keyauthority.domain.secrets import Secret

Value = TypeVar("Value")

_FIELDS: Final = ("secret", "name", "scopes", "labels", "expire_time", "expires_in")


@dataclass(frozen=True, slots=True)
class Line:
    """One key to import and the number of its line."""

    number: int
    key: ImportedKey = field(repr=False)


def read_lines(file: IO[str], start: int) -> list[Line]:
    """Returns the keys from line *start* on. Raises `ClickException` for the first bad line."""
    lines = []
    try:
        for number, text in enumerate(file, 1):
            if number >= start and text.strip():
                lines.append(Line(number, _key(number, text)))
    except UnicodeDecodeError:
        raise click.ClickException("the file to import is not UTF-8 text") from None
    return lines


def _key(number: int, text: str) -> ImportedKey:
    try:
        return _parse(text)
    except ValueError as error:
        raise click.ClickException(f"line {number}: {error}") from None


def _parse(text: str) -> ImportedKey:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("is not one JSON object")  # noqa: TRY004 - a bad line is a bad value
    if not set(fields) <= set(_FIELDS):
        raise ValueError(f"has a field other than {', '.join(_FIELDS)}")
    scopes, labels = fields.get("scopes", []), fields.get("labels", {})
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError("scopes is not a list of texts")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("labels is not an object of texts")
    secret, name, expiry = _text(fields, "secret"), _text(fields, "name"), _expiry(fields)
    if not all(map(is_text, (secret, name, *scopes, *labels, *labels.values()))):
        raise ValueError("holds text that is not Unicode")
    settings = KeySettings(name, expire_time=expiry, scopes=tuple(scopes), labels=labels)
    return ImportedKey(Secret(secret), settings)


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise ValueError(f"{name} is missing, or not a text")  # noqa: TRY004 - likewise
    return text


def _expiry(fields: Mapping[str, Any]) -> datetime | None:
    if "expire_time" in fields and "expires_in" in fields:
        raise ValueError("expire_time and expires_in exclude one another")
    if "expires_in" in fields:
        return datetime.now(UTC) + _parsed(fields, "expires_in", parse_duration)
    return _parsed(fields, "expire_time", parse_moment) if "expire_time" in fields else None


def _parsed(fields: Mapping[str, Any], name: str, parse: Callable[[str], Value]) -> Value:
    text = _text(fields, name)
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
