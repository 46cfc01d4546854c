"""Summing up what a workspace used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.domain.finding import visible_workspace
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.usage import DAY, Group, Span, UsageSum, spans, zone_of

MOST: Final = 10_000
"""How many sums an answer has."""
LONGEST: Final = timedelta(days=400)
USUAL: Final = timedelta(days=30)

_AT_ONCE: Final = 1_000
"""Entries that are read at a time: whoever changes something waits for a read to end."""
_LARGEST: Final = 2**63 - 1
_MICROSECOND: Final = timedelta(microseconds=1)

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Which charges to sum up, by what. Without an `end` it is now, without a `start` 30 days before."""

    workspace_id: str
    start: datetime | None = None
    end: datetime | None = None
    groups: tuple[Group, ...] = ()
    time_zone: str = ""


class Summarizing:
    """Sums up what workspaces used."""

    def __init__(self, books: Books, at_once: int = _AT_ONCE) -> None:
        self._books = books
        self._at_once = at_once

    async def summarize(self, actor: Actor, question: Question) -> tuple[list[UsageSum], bool]:
        """Returns the sums in the order of their groups, and whether there are more than 10,000.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `BALANCE_OUT_OF_RANGE`.
        """

        async def work(tx: Transaction) -> datetime:
            await visible_workspace(tx, actor, question.workspace_id)
            return tx.time

        if len(set(question.groups)) < len(question.groups):
            raise invalid("group_by", "names a group twice")
        now = await self._books.read(work)
        sums: dict[Place, UsageSum] = {}
        for span in _spans(question, now):
            start = span.start
            while start < span.end:
                rest = Span(start, span.end, span.offset)
                start, rows = await self._read(question, rest)
                _add(sums, rows, question.groups)
        answer = [sums[place] for place in sorted(sums)[:MOST]]
        _check(answer)
        return answer, len(sums) > MOST

    async def _read(self, question: Question, span: Span) -> tuple[datetime, list[UsageSum]]:
        # The sums of the first entries of *span*, and where the others begin.

        async def work(tx: Transaction) -> tuple[datetime, list[UsageSum]]:
            ledger, workspace_id = tx.ledger, question.workspace_id
            time = await ledger.time_of(workspace_id, span.start, span.end, self._at_once)
            # All entries of one moment are read together.
            end = span.end if time is None else max(time, span.start + _MICROSECOND)
            piece = Span(span.start, end, span.offset)
            return end, await ledger.usage(workspace_id, piece, frozenset(question.groups))

        return await self._books.read(work)


def _spans(question: Question, now: datetime) -> list[Span]:
    # What was charged at this very moment counts, too.
    end = question.end or now + _MICROSECOND
    zone = zone_of(question.time_zone)
    try:
        start = question.start or end - USUAL
        if end - start > LONGEST:
            raise invalid("start_time", f"is more than {LONGEST.days} days before the end")
        # A day at either end, for a look across a change of the clocks.
        for time in (start - 2 * DAY, end + 2 * DAY):
            time.astimezone(zone)
        return list(spans(start, end, zone))
    except OverflowError:
        raise invalid("end_time", "is beyond what a calendar holds") from None


def _add(sums: dict[Place, UsageSum], rows: Sequence[UsageSum], groups: tuple[Group, ...]) -> None:
    for row in rows:
        place = row.place(groups)
        sums[place] = sums[place] + row if place in sums else row
    if len(sums) > 3 * MOST:
        # What has so many before it is beyond the answer, whatever else comes.
        for place in sorted(sums)[MOST + 1 :]:
            del sums[place]


def _check(sums: Sequence[UsageSum]) -> None:
    if any(
        abs(one) > _LARGEST
        for row in sums
        for one in (row.cost, row.refunded, *row.counts.values())
    ):
        raise KeyAuthorityError(
            Reason.BALANCE_OUT_OF_RANGE, "a sum is beyond 64 bits: ask for a shorter range"
        )
