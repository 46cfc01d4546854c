"""`keyauthority prices`: set, import and list what requests cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.failures import Failure
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.output import Answer, count, moment, spread, table
from keyauthority.cli.price_rows import RATES, read_rows, written
from keyauthority.cli.values import CREDITS, FILE, MOMENT
from keyauthority.client.admin import NewPrice, Price, Rates, RefusedError, prices


def _rates(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(RATES.items()):
        option = click.option(f"--{name.replace('_', '-')}", name, type=CREDITS, help=text)
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Set, import and list what requests cost."""


@command.command("set")
@click.option("--model", required=True, help="A model's name, its beginning and a *, or * for all.")
@click.option("--path", default="*", help="The paths, likewise: /v1/chat/completions. [default: *]")
@click.option("--at", "time", type=MOMENT, help="From when on it counts. [default: now]")
@_rates
@with_authority
def set_price(
    authority: Authority, /, model: str, path: str, time: datetime | None, **rates: int | None
) -> Answer:
    """Set a price: from its time on it takes the place of the one before.

    Rates are decimal credits: per million tokens, or for each request, image, second or character.
    """
    try:
        row = NewPrice(model, path, Rates(**rates), time)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return _set(authority, [row])


@command.command("import")
@click.argument("file", type=FILE)
@with_authority
def import_prices(authority: Authority, file: Path) -> Answer:
    """Set the prices in FILE, all of them or none: CSV with a header, or a JSON array (.json).

    The columns are model, path, at, and the rates as `prices set` names them, such as cached_input.
    A repeat changes nothing.
    """
    rows = read_rows(file)
    try:
        return _set(authority, rows)
    except Failure as failure:
        index = failure.error.index if isinstance(failure.error, RefusedError) else None
        if index is None:
            raise
        sentence = f"{file}, row {index + 1}: {failure.message}; no price was set"
        raise Failure(sentence, failure.error) from None


@command.command("list")
@listing_options
@with_authority
def list_prices(authority: Authority, limit: int | None) -> Answer:
    """List all prices, the newest first."""
    return listed(authority, "prices", prices.page, limit, _table, lambda price: price.id)


def _set(authority: Authority, rows: Sequence[NewPrice]) -> Answer:
    reply, changed = authority.call(prices.set_all(rows))
    added = changed.record.added
    others = len(rows) - added
    sentence = f"Set {count(added, 'price')}"
    if others:
        sentence += f"; {others:,} {'was' if others == 1 else 'were'} there already"
    return Answer(reply, f"{sentence}. {spread(changed.receipt)}", brief="")


def _table(records: Iterable[Price]) -> str:
    return table(
        ("ID", "MODEL", "PATH", "FROM", "CREDITS"),
        (
            (
                price.id,
                price.model.text,
                price.path.text,
                moment(price.effective_time),
                written(price),
            )
            for price in records
        ),
    )
