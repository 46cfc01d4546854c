"""Keys to import, as files have them: a JSON object a line. Nothing that a line holds is repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Final, TypeVar

import click

from keyauthority.cli.values import DURATION, MOMENT, is_text
from keyauthority.client.admin import ImportedKey
from keyauthority.domain.secrets import Secret

Value = TypeVar("Value")

_FIELDS: Final = ("secret", "name", "scopes", "labels", "expire_time", "expires_in")


@dataclass(frozen=True, slots=True)
class Line:
    """One key to import and the number of its line."""

    number: int
    key: ImportedKey = field(repr=False)


def read_lines(file: IO[str], start: int) -> list[Line]:
    """All keys from line *start* on; raises `ClickException` naming the first line that is none."""
    lines = []
    try:
        for number, text in enumerate(file, 1):
            if number >= start and text.strip():
                lines.append(Line(number, _key(number, text)))
    except UnicodeDecodeError:
        raise click.ClickException("what is to be imported is not UTF-8 text") from None
    return lines


def _key(number: int, text: str) -> ImportedKey:
    try:
        return _parsed(text)
    except click.BadParameter as error:
        raise click.ClickException(f"line {number}: {error.message}") from None


def _parsed(text: str) -> ImportedKey:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise click.BadParameter("is not one JSON object")
    if not set(fields) <= set(_FIELDS):
        raise click.BadParameter(f"has a field other than {', '.join(_FIELDS)}")
    scopes, labels = fields.get("scopes", []), fields.get("labels", {})
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise click.BadParameter("scopes is not a list of texts")
    if not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values()):
        raise click.BadParameter("labels is not an object of texts")
    secret, name, end = _text(fields, "secret"), _text(fields, "name"), _end(fields)
    if not all(map(is_text, (secret, name, *scopes, *labels, *labels.values()))):
        raise click.BadParameter("holds text that is not Unicode")
    return ImportedKey(Secret(secret), name, end, tuple(scopes), labels)


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise click.BadParameter(f"{name} is missing, or not a text")
    return text


def _end(fields: Mapping[str, Any]) -> datetime | None:
    if "expire_time" in fields and "expires_in" in fields:
        raise click.BadParameter("expire_time and expires_in exclude one another")
    if "expires_in" in fields:
        return datetime.now(UTC) + _converted(fields, "expires_in", DURATION)
    return _converted(fields, "expire_time", MOMENT) if "expire_time" in fields else None


def _converted(fields: Mapping[str, Any], name: str, kind: click.ParamType[Value]) -> Value:
    try:
        return kind.convert(_text(fields, name), None, None)
    except click.BadParameter as error:
        raise click.BadParameter(f"{name} {error.message}") from None
