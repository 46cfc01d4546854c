"""`keyauthority ledger usage`: what a workspace's charges come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, table
from keyauthority.cli.values import MOMENT, ZONE, Parsed
from keyauthority.client.admin import Group, UsageSum, ledger
from keyauthority.pricing.amounts import write


def _parse_groups(text: str) -> tuple[Group, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < len(names) or not {group.name.lower() for group in Group}.issuperset(
        names
    ):
        raise ValueError("must be some of day, key and model, separated by commas")
    return tuple(Group[name.upper()] for name in names)


@click.command()
@click.argument("workspace_id", metavar="WORKSPACE", type=WORKSPACE)
@click.option(
    "--by",
    "groups",
    type=Parsed("groups", _parse_groups),
    default="day",
    show_default=True,
    help="By what, in this order: day, key and model, separated by commas; '' for one sum.",
)
@click.option("--since", "start", type=MOMENT, help="From this time on. [default: 30 days before]")
@click.option("--until", "end", type=MOMENT, help="Before this time. [default: now]")
@click.option("--zone", type=ZONE, default="UTC", show_default=True, help="Whose days.")
@with_authority
def usage(
    authority: Authority,
    workspace_id: str,
    groups: tuple[Group, ...],
    start: datetime | None,
    end: datetime | None,
    zone: ZoneInfo,
) -> Answer:
    """Sum up a workspace's charges, less refunds, by day, key and model."""
    call = ledger.usage(workspace_id, start=start, end=end, by=groups, time_zone=zone.key)
    reply, sums = authority.call(call)
    note = ""
    if sums.truncated:
        note = f"There are more than these {len(sums.sums):,}: name a shorter time."
    elif not sums.sums:
        note = "There are no charges."
    return Answer(reply, _table(groups, sums.sums) if sums.sums else "", note)


def _table(groups: Sequence[Group], sums: Iterable[UsageSum]) -> str:
    headings = *(group.name for group in groups), "CREDITS", "CHARGES", "ESTIMATED", "USED"
    return table(headings, (_row(groups, one) for one in sums))


def _row(groups: Sequence[Group], one: UsageSum) -> tuple[str, ...]:
    used = " ".join(f"{name}={number}" for name, number in sorted(one.counts.items()))
    return *one.place(groups), write(one.cost), str(one.charges), str(one.estimated), used
