"""The tables of `docs/scaling.md` that commands write, between the prose that people write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "scaling.md"
_TABLE: Final = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def milliseconds(seconds: float) -> str:
    """Returns *seconds* as people read them."""
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1e3 * seconds:,.3g} ms"


def figure(number: float) -> str:
    """Returns *number* with two digits that count, or as a whole one."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def size(number: float) -> str:
    """Returns a *number* of bytes."""
    return f"{number / 1e9:,.1f} GB" if number < 1e12 else f"{number / 1e12:,.1f} TB"


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table as Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def tables(text: str) -> list[str]:
    """Returns the names of the places for tables in *text*."""
    return [name for _, name, _ in _TABLE.findall(text)]


def filled(text: str, contents: Mapping[str, str]) -> str:
    """Returns *text* with these *contents* in the places of their names; the other places stay.

    Raises `KeyError` if there is no place for one of them.
    """
    if missing := contents.keys() - set(tables(text)):
        raise KeyError(f"no place for {sorted(missing)}")

    def replaced(place: re.Match[str]) -> str:
        begin, name, end = place.groups()
        return f"{begin}{contents[name]}\n{end}" if name in contents else place[0]

    return _TABLE.sub(replaced, text)


def write(contents: Mapping[str, str]) -> None:
    """Writes *contents* into the page."""
    PAGE.write_text(filled(PAGE.read_text(), contents))
