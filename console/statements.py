"""The statement of a month: what a workspace had, what changed it, and what it had afterwards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from console import ledger_entries
from console.authority import Acting
from console.moments import begin_of_day
from keyauthority.client.admin import Entry, EntryFilter, EntryKind, ledger
from keyauthority.pricing.amounts import write

MOST_ENTRIES: Final = 50_000
"""Entries of a month that a statement is made of; more are for `keyauthority ledger`."""
MOST_LISTED: Final = 500
"""Top-ups, refunds and adjustments that the page lists one by one."""
_AT_ONCE: Final = 1_000

COLUMNS: Final = (
    "time",
    "number",
    "kind",
    "amount",
    "balance",
    "reference",
    "belongs_to",
    "note",
    "key_id",
    "key",
    "model",
    "path",
    "status",
    "estimated",
    "usage",
    "by",
)

_is_month: Final = re.compile(r"\d{4}-\d{2}", re.ASCII).fullmatch
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class TooLongError(Exception):
    """The month has too many entries for a statement."""


@dataclass(frozen=True, slots=True)
class Month:
    """A month in a time zone; `end` is excluded. `value` is `2026-11`, `label` `November 2026`."""

    value: str
    label: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class Charges:
    """What the charges of a key, a model or a day come to, and how many there are."""

    cost: int = 0
    number: int = 0
    estimated: int = 0

    def add(self, entry: Entry) -> None:
        """Counts a charge."""
        self.cost -= entry.amount
        self.number += 1
        self.estimated += entry.use.estimated


@dataclass(slots=True)
class Statement:
    """A month of a ledger. `others` are the entries that are no charges, oldest first."""

    opening: int = 0
    closing: int = 0
    entries: int = 0
    sums: Counter[EntryKind] = field(default_factory=Counter)
    others: list[Entry] = field(default_factory=list)
    others_left_out: bool = False
    by_day: dict[str, Charges] = field(default_factory=dict)
    by_key: dict[str, Charges] = field(default_factory=dict)
    by_model: dict[str, Charges] = field(default_factory=dict)


def month_of(value: str, zone: tzinfo, now: datetime) -> Month:
    """Returns the month *value*, such as `2026-11`; this month for a text that is none."""
    local = now.astimezone(zone)
    first = date(local.year, local.month, 1)
    if _is_month(value):
        try:
            first = date(int(value[:4]), int(value[5:]), 1)
            return _month(first, zone)
        except (ValueError, OverflowError):
            first = date(local.year, local.month, 1)
    return _month(first, zone)


def months_until(now: datetime, zone: tzinfo, number: int) -> list[Month]:
    """Returns the last *number* months, this one first."""
    local = now.astimezone(zone)
    months = []
    first = date(local.year, local.month, 1)
    for _ in range(number):
        months.append(_month(first, zone))
        first = (first - timedelta(days=1)).replace(day=1)
    return months


async def read(
    authority: Acting, workspace_id: str, month: Month, zone: tzinfo, most: int = MOST_ENTRIES
) -> Statement:
    """Returns the statement of *month*, whose days are those of *zone*.

    Raises `TooLongError` for more than *most* entries, `CreditsUnknownError`, `AuthorityError`.
    """
    statement = Statement()
    amounts: dict[int, int] = {}
    async for page in _pages(authority, workspace_id, month, most):
        for entry in page:
            _count(statement, entry, zone)
            amounts[entry.number] = entry.amount
    # Charges that are recorded late have the time of their request: the newest entry of before may
    # stand after some of the month.
    before = await _newest_before(authority, workspace_id, month.start)
    if before is not None:
        later = (amount for number, amount in amounts.items() if number < before.number)
        statement.opening = before.balance - sum(later)
    # Entries of one instant may be in another order by time than by number: the sum is what counts.
    statement.closing = statement.opening + statement.sums.total()
    statement.others.reverse()
    statement.by_day = dict(sorted(statement.by_day.items()))
    statement.by_key, statement.by_model = map(_by_cost, (statement.by_key, statement.by_model))
    return statement


async def csv(
    authority: Acting, workspace_id: str, month: Month, most: int = MOST_ENTRIES
) -> bytes:
    """Returns the month's entries, oldest first, as RFC 4180 has it. Raises as `read` does.

    Amounts are exact decimals. The mark at the beginning tells spreadsheets that it is UTF-8.
    """
    names: dict[str, str] = {}
    pages: list[str] = []
    async for page in _pages(authority, workspace_id, month, most):
        ids = {entry.use.key_id for entry in page} - names.keys()
        names |= await ledger_entries.key_names(authority, workspace_id, ids)
        pages.append("".join(_line(_cells(entry, names)) for entry in reversed(page)))
    return "".join(("\ufeff", _line(COLUMNS), *reversed(pages))).encode()


async def _pages(
    authority: Acting, workspace_id: str, month: Month, most: int
) -> AsyncIterator[tuple[Entry, ...]]:
    which = EntryFilter(workspace_id, start=month.start, end=month.end)
    token, number = "", 0
    while True:
        page = await authority.ledger(ledger.page(which, size=_AT_ONCE, token=token))
        number += len(page.records)
        if number > most:
            raise TooLongError
        yield page.records
        token = page.next_page_token
        if not token:
            return


async def _newest_before(authority: Acting, workspace_id: str, end: datetime) -> Entry | None:
    which = EntryFilter(workspace_id, end=end)
    page = await authority.ledger(ledger.page(which, size=1))
    return page.records[0] if page.records else None


def _count(statement: Statement, entry: Entry, zone: tzinfo) -> None:
    statement.entries += 1
    statement.sums[entry.kind] += entry.amount
    if entry.kind is not EntryKind.CHARGE:
        statement.others_left_out = len(statement.others) >= MOST_LISTED
        if not statement.others_left_out:
            statement.others.append(entry)
        return
    day = entry.time.astimezone(zone).date().isoformat()
    groups = (
        (statement.by_day, day),
        (statement.by_key, entry.use.key_id),
        (statement.by_model, entry.use.model),
    )
    for group, name in groups:
        group.setdefault(name, Charges()).add(entry)


def _by_cost(group: Mapping[str, Charges]) -> dict[str, Charges]:
    return dict(sorted(group.items(), key=lambda item: (-item[1].cost, item[0])))


def _cells(entry: Entry, names: Mapping[str, str]) -> Iterable[str]:
    use = entry.use
    texts = (
        entry.reference,
        entry.subject,
        entry.note,
        use.key_id,
        names.get(use.key_id, ""),
        use.model,
        use.path,
        str(use.status or ""),
        "yes" if use.estimated else "",
        " ".join(f"{name}={count}" for name, count in sorted(use.counts.items())),
        ledger_entries.who(entry),
    )
    # Only amounts, which are numbers, may begin with a sign.
    yield entry.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    yield str(entry.number)
    yield entry.kind.name.lower()
    yield write(entry.amount)
    yield write(entry.balance)
    yield from map(_no_formula, texts)


def _no_formula(text: str) -> str:
    # Spreadsheets run a cell that begins like a formula.
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    return ",".join(map(_quoted, cells)) + "\r\n"


def _quoted(cell: str) -> str:
    if any(letter in cell for letter in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _month(first: date, zone: tzinfo) -> Month:
    next_first = (first + timedelta(days=31)).replace(day=1)
    return Month(
        first.isoformat()[:7],
        f"{first:%B} {first.year}",
        begin_of_day(first.isoformat(), zone),
        begin_of_day(next_first.isoformat(), zone),
    )
