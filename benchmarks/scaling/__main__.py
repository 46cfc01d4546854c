"""`make scaling`: simulates, prints, and writes the tables of `docs/scaling.md`."""

from __future__ import annotations

import click

from benchmarks.scaling import page, report, walls
from benchmarks.scaling.costs import Costs


@click.command()
@click.option("--show", is_flag=True, help="Print the tables and leave the page as it is.")
def main(*, show: bool) -> None:
    """Says how far the measured costs carry: verifiers, changes, regions, requests, keys."""
    contents = {"walls": walls.table(Costs())}
    for name, table in report.everything(Costs()):
        click.echo(f"\n{name}\n{table}")
        contents[name] = table
    click.echo(f"\nwalls\n{contents['walls']}")
    if not show:
        page.write(contents)


if __name__ == "__main__":
    main()
