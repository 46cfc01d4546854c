"""Listings: page after page, up to a limit, for people and for programs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import click
from google.protobuf.message import Message

from keyauthority.cli.output import Answer, to_dict
from keyauthority.client.admin import Call, Page

Record = TypeVar("Record")
Result = TypeVar("Result")

_PAGE: Final = 100
LARGE_PAGE: Final = 1_000
_LIMIT: Final = 50


class Calling(Protocol):
    """Makes calls. Raises `Failure`."""

    def call(self, call: Call[Result], /) -> tuple[Message, Result]: ...


class Entry(NamedTuple, Generic[Record]):
    """A record of a listing, and the message that it came in."""

    message: Message
    record: Record


def listing_options(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Adds --limit and --all, which the command gets as one `limit`: None for all."""

    @click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(min=1),
        default=_LIMIT,
        show_default=True,
        help="Show at most this many.",
    )
    @click.option("--all", "everything", is_flag=True, help="Show all.")
    @functools.wraps(command)
    def limited(*args: Any, limit: int, everything: bool, **kwargs: Any) -> Answer:
        return command(*args, limit=None if everything else limit, **kwargs)

    return limited


def entries(
    authority: Calling,
    name: str,
    page: Callable[..., Call[Page[Record]]],
    size: int = _PAGE,
) -> Iterator[Entry[Record]]:
    """Yields the entries of the pages that *page* calls for, by size and token.

    The replies hold them in the field *name*.
    """
    for reply, records in pages(authority, page, size):
        yield from map(Entry, getattr(reply, name), records)


def pages(
    authority: Calling, page: Callable[..., Call[Page[Record]]], size: int
) -> Iterator[tuple[Message, Sequence[Record]]]:
    """Yields the reply and the records of each page that *page* calls for, by size and token."""
    token = ""
    while True:
        reply, result = authority.call(page(size=size, token=token))
        yield reply, result.records
        token = result.next_page_token
        if not token:
            return


def listed(
    authority: Calling,
    name: str,
    page: Callable[..., Call[Page[Record]]],
    limit: int | None,
    text: Callable[[Iterable[Record]], str],
    identity: Callable[[Record], str],
    keeps: Callable[[Record], bool] | None = None,
) -> Answer:
    """Returns up to *limit* entries, called *name*; *text* writes their records for people.

    `--quiet` prints the *identity* of each. Entries that *keeps* does not keep are passed over.
    """
    # One entry beyond the limit shows that there are more.
    stop = None if limit is None else limit + 1
    if keeps is None:
        kept = entries(authority, name, page, min(stop or _PAGE, _PAGE))
    else:
        every = entries(authority, name, page, LARGE_PAGE)
        kept = (entry for entry in every if keeps(entry.record))
    listing = list(itertools.islice(kept, stop))
    note = "" if listing else f"There are no {name}."
    if stop is not None and len(listing) == stop:
        listing.pop()
        note = f"There are more {name}: --all shows them, --limit more of them."
    document = {name: [to_dict(entry.message) for entry in listing]}
    records = [entry.record for entry in listing]
    brief = "\n".join(map(identity, records))
    return Answer(document, text(records) if records else "", note, brief=brief)
