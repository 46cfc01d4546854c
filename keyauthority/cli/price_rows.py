"""Rows of prices on a command line and in files: decimal credits, by the names of the rates."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import click

from keyauthority.cli.values import parse_moment
from keyauthority.client.admin import NewPrice, Price, Rates
from keyauthority.pricing.amounts import parse, write

RATES: Final = {
    "input": "Credits per million tokens of the request.",
    "cached_input": "Per million of those read from a cache. [default: as --input]",
    "cache_write": "Per million of those written to a cache. [default: as --input]",
    "audio_input": "Per million tokens of audio in the request. [default: as --input]",
    "image_input": "Per million tokens of images in the request. [default: as --input]",
    "output": "Credits per million tokens of the answer.",
    "reasoning": "Per million tokens of reasoning. [default: as --output]",
    "audio_output": "Per million tokens of audio in the answer. [default: as --output]",
    "request": "Credits for each request.",
    "image": "Credits for each image that was made.",
    "second": "Credits for each second of audio.",
    "character": "Credits for each character of the input.",
}
"""What each rate is of."""

_COLUMNS: Final = ("model", "path", "at", *RATES)


def read_rows(file: Path) -> list[NewPrice]:
    """Returns the rows of a JSON array of objects (`.json`), or of CSV with a header.

    Raises `click.ClickException`, which names the row at fault.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if file.suffix.lower() == ".json" else _csv_rows(text)
        return [_row(file, number, row) for number, row in enumerate(rows, 1)]
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {file}: {error}") from None
    except (ValueError, csv.Error) as error:
        raise click.ClickException(f"{file}: {error}") from None


def row_of(values: Mapping[str, str]) -> NewPrice:
    """Returns the row that *values*, by the names of columns, are; raises `ValueError`."""
    strangers = values.keys() - set(_COLUMNS)
    if strangers:
        raise ValueError(f"no column is called {min(strangers)!r}: there are {', '.join(_COLUMNS)}")
    if not values.get("model"):
        raise ValueError("it names no model")
    at = values.get("at", "")
    rates = {name: _rate(name, values[name]) for name in RATES if values.get(name)}
    return NewPrice(
        values["model"],
        values.get("path") or "*",
        Rates(**rates),
        _moment(at) if at else None,
    )


def written(price: Price) -> str:
    """Returns the rates of *price* as `input=2.5 output=10`."""
    rates = ((field.name, getattr(price.rates, field.name)) for field in fields(Rates))
    return " ".join(f"{name}={write(rate)}" for name, rate in rates if rate is not None)


def _row(file: Path, number: int, values: Mapping[str, str]) -> NewPrice:
    try:
        return row_of(values)
    except ValueError as error:
        raise click.ClickException(f"{file}, row {number}: {error}") from None


def _rate(name: str, text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _moment(text: str) -> Any:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise ValueError(f"at {error}") from None


def _csv_rows(text: str) -> Iterator[Mapping[str, str]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    for row in reader:
        # Cells beyond the header stand under None, missing ones are None.
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not as many cells as the header")
        yield {name.strip(): cell.strip() for name, cell in row.items()}


def _json_rows(text: str) -> Iterator[Mapping[str, str]]:
    # Numbers stay as they are written: a float would not be exact.
    rows = json.loads(text, parse_float=str, parse_int=str)
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise ValueError("it is no JSON array of objects")
    for number, row in enumerate(rows, 1):
        if not all(value is None or isinstance(value, str) for value in row.values()):
            raise ValueError(f"row {number} has a value that is neither text nor a number")
        yield {name: value for name, value in row.items() if value is not None}
