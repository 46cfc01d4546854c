"""`keyauthority ledger reconcile`: an upstream's bill beside what workspaces were charged."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, table
from keyauthority.cli.values import FILE, ZONE
from keyauthority.client.admin import Group, ledger
from keyauthority.pricing.amounts import LARGEST_AMOUNT, NANO, write

Place = tuple[str, str]
"""A day and a model."""

_COLUMNS = {"date", "model", "cost"}
_DAY = timedelta(days=1)
_MOST: Final = Decimal(LARGEST_AMOUNT) / NANO
# Sums of costs with 30 decimals are exact.
_EXACT: Final = Context(prec=60)


@click.command()
@click.argument("file", type=FILE, metavar="BILL.csv")
@click.option(
    "--workspace",
    "workspace_ids",
    multiple=True,
    required=True,
    type=WORKSPACE,
    help="A workspace that the bill is for. Repeat it for several.",
)
@click.option(
    "--zone", type=ZONE, default="UTC", show_default=True, help="Whose days the bill has."
)
@with_authority
def reconcile(
    authority: Authority, file: Path, workspace_ids: Sequence[str], zone: ZoneInfo
) -> Answer:
    """Compare a bill with what was charged: how much of it was captured, by day and model.

    The file is CSV with the columns date (2026-11-27), model and cost; others are passed over. Refunds
    lower neither side: what was charged was captured.
    """
    billed = _billed(file)
    charged: Counter[Place] = Counter()
    days = sorted(date.fromisoformat(day) for day, _ in billed)
    start, end = _begin(days[0], zone), _begin(days[-1] + _DAY, zone)
    for workspace_id in dict.fromkeys(workspace_ids):
        groups = (Group.DAY, Group.MODEL)
        _, usage = authority.call(
            ledger.usage(workspace_id, start=start, end=end, by=groups, time_zone=zone.key)
        )
        if usage.truncated:
            raise click.ClickException(f"{workspace_id} used too many models: split the bill")
        for one in usage.sums:
            day, model = one.place(groups)
            charged[day, model] += one.cost + one.refunded
    places = sorted({*billed, *charged})
    rows = [(*place, billed[place], charged[place]) for place in places]
    rows.append(("total", "", billed.total(), charged.total()))
    return Answer({"rows": [_document(*row) for row in rows]}, _table(rows))


def _billed(file: Path) -> Counter[Place]:
    # What the bill says, in nano-credits, by day and model: rows may be finer, so each sum is rounded.
    billed: dict[Place, Decimal] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if not _COLUMNS.issubset(reader.fieldnames or ()):
                raise click.ClickException(f"{file} lacks a header with date, model and cost")
            for row in reader:
                day = date.fromisoformat((row["date"] or "").strip()).isoformat()
                place = day, (row["model"] or "").strip()
                billed[place] = _EXACT.add(billed.get(place, Decimal()), _cost(row["cost"] or ""))
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {file}: {error}") from None
    except (ValueError, csv.Error) as error:
        raise click.ClickException(f"{file}, line {reader.line_num}: {error}") from None
    if not billed:
        raise click.ClickException(f"{file} has no rows")
    return Counter({place: _nano_credits(cost) for place, cost in billed.items()})


def _cost(text: str) -> Decimal:
    # In credits; upstreams write costs with many decimals, or as 2.5e-07.
    try:
        cost = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number of credits") from None
    if not cost.is_finite() or abs(cost) > _MOST:
        raise ValueError(f"{text!r} is no number of credits up to {_MOST:,}")
    return cost


def _nano_credits(cost: Decimal) -> int:
    return int(_EXACT.multiply(cost, NANO).to_integral_value(ROUND_HALF_UP))


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _captured(billed: int, charged: int) -> str:
    # In tenths of a percent, rounded down: 100 % is all of it.
    if billed <= 0:
        return ""
    tenths = charged * 1000 // billed
    sign = "-" if tenths < 0 else ""
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}%"


def _document(day: str, model: str, billed: int, charged: int) -> dict[str, str]:
    return {
        "day": day,
        "model": model,
        "billed": write(billed),
        "charged": write(charged),
        "captured": _captured(billed, charged),
    }


def _table(rows: Iterable[tuple[str, str, int, int]]) -> str:
    headings = "DAY", "MODEL", "BILLED", "CHARGED", "CAPTURED"
    return table(headings, (tuple(_document(*row).values()) for row in rows))
