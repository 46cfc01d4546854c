"""Listings: a page after a page, up to a limit, in both forms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import click
from google.protobuf.message import Message

from keyauthority.cli.output import Answer, to_dict

Record = TypeVar("Record", bound=Message)

Page = Callable[[int, str], tuple[Sequence[Record], str]]
"""Gets a page of at most a size after a page token: the records, and the next page token."""

_PAGE: Final = 100
_LIMIT: Final = 50


def listing_options(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Adds --limit and --all, which the command gets as `limit`: None for all."""

    @click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(min=1),
        default=_LIMIT,
        show_default=True,
        help="Show at most so many.",
    )
    @click.option("--all", "everything", is_flag=True, help="Show all of them.")
    @functools.wraps(command)
    def limited(*args: Any, limit: int, everything: bool, **kwargs: Any) -> Answer:
        return command(*args, limit=None if everything else limit, **kwargs)

    return limited


def pages(page: Page[Record], limit: int | None = None) -> Iterator[Record]:
    """The records of a listing, in its order, up to *limit*."""
    left, after = limit, ""
    while left is None or left > 0:
        records, after = page(_PAGE if left is None else min(left, _PAGE), after)
        yield from records
        if not after:
            return
        left = None if left is None else left - len(records)


def listed(
    name: str, page: Page[Record], limit: int | None, text: Callable[[Iterable[Record]], str]
) -> Answer:
    """The listing of the *name* that there are; *text* shows its records to people."""
    records = list(pages(page, None if limit is None else limit + 1))
    note = "" if records else f"There are no {name}."
    if limit is not None and len(records) > limit:
        records.pop()
        note = f"There are more {name}: --all shows them, --limit more of them."
    document = {name: [to_dict(record) for record in records]}
    return Answer(document, text(records) if records else "", note)
