"""The statement of a month: a page to read and print, and a file for spreadsheets."""

from __future__ import annotations

from typing import Final

from console import ledger_entries, statements
from console.authority import CreditsUnknownError
from console.moments import zone_of
from console.pages import workspace_credits
from console.statements import MOST_ENTRIES, Month, Statement, TooLongError
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import EntryKind

_MONTHS: Final = 36
"""Months that can be chosen."""
_ORDER: Final = (
    EntryKind.GRANT,
    EntryKind.REFUND,
    EntryKind.ADJUSTMENT,
    EntryKind.EXPIRY,
    EntryKind.CHARGE,
)


async def show(visit: Visit) -> Answer:
    """Shows the statement of the month that was chosen; of this month by default."""
    month = _month(visit)
    try:
        zone = zone_of(visit.me.time_zone)
        statement = await statements.read(visit.authority, visit.workspace_id, month, zone)
    except CreditsUnknownError as error:
        return await workspace_credits.unknown(visit, error)
    except TooLongError:
        return await _page(visit, month, None)
    return await _page(visit, month, statement)


async def download(visit: Visit) -> Answer:
    """Answers with the month's entries as CSV."""
    month = _month(visit)
    try:
        body = await statements.csv(visit.authority, visit.workspace_id, month)
    except CreditsUnknownError as error:
        return await workspace_credits.unknown(visit, error)
    except TooLongError:
        return await _page(visit, month, None)
    name = f"credits-{visit.workspace_id}-{month.value}.csv"
    return visit.file(name, "text/csv; charset=utf-8", body)


def _month(visit: Visit) -> Month:
    return statements.month_of(visit.query("month"), zone_of(visit.me.time_zone), visit.now)


async def _page(visit: Visit, month: Month, statement: Statement | None) -> Answer:
    zone = zone_of(visit.me.time_zone)
    months = statements.months_until(visit.now, zone, _MONTHS)
    if month.value not in {one.value for one in months}:
        months.append(month)
    names: dict[str, str] = {}
    sums: list[tuple[str, int]] = []
    others: list[ledger_entries.EntryRow] = []
    if statement is not None:
        names = await ledger_entries.key_names(
            visit.authority, visit.workspace_id, set(statement.by_key)
        )
        others = await ledger_entries.rows(visit, statement.others)
        sums = [(kind.name.lower(), statement.sums[kind]) for kind in _ORDER]
    return await visit.page(
        "credits_statement.html",
        section="credits",
        month=month,
        months=months,
        statement=statement,
        sums=sums,
        others=others,
        key_names=names,
        made=visit.now,
        most=MOST_ENTRIES,
    )
