"""`python -m benchmarks.scaling.statements`: what the books ask of PostgreSQL, read from their own code.

From the tables' metadata, the statements that modules have ready, and, in the source, SQL in texts and
what statements are built with. A function that `engines` does not know fails it, and a test.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import SAWarning
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks.scaling import page
from benchmarks.scaling.engines import CONSTRUCTS, FUNCTIONS, NO_FUNCTIONS
from keyauthority.storage.tables import metadata

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = (
    "keyauthority/storage/*.py",
    "keyauthority/storage/sql/*.py",
    "keyauthority/storage/postgres/*.py",
    "keyauthority/storage/migrations/versions/*.py",
    "keyauthority/base/relational/p*.py",
)
"""The sources of all that is sent to PostgreSQL."""

DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
_SQL: Final = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|BEGIN|SET|CREATE|LISTEN) ")
_CALLED: Final = re.compile(r"\b([a-z_][a-z0-9_]*)\(", re.IGNORECASE)
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")


@click.command()
@click.option("--show", is_flag=True, help="Print the statements as well.")
def main(*, show: bool) -> None:
    """Collects the statements, and writes the table of `docs/scaling.md`."""
    found = sorted(texts())
    if show:
        click.echo("\n".join(found))
    if strangers := unknown_functions(found):
        raise click.ClickException(f"functions that no engine was judged by: {strangers}")
    page.write({"engines": table(found)})


def texts() -> set[str]:
    """Returns SQL, or what makes it: each text once, on one line."""
    found = set[str]()
    for source in sources():
        found.update(read(source.read_text()))
        if "migrations" not in source.parts:
            found.update(_ready(source))
    # The modules that are imported by now have added their tables.
    found.update(_schema())
    return {" ".join(text.split()) for text in found}


def sources() -> list[Path]:
    """Returns the files of `ROOMS`."""
    return sorted(source for room in ROOMS for source in ROOT.glob(room))


def read(source: str) -> Iterator[str]:
    """Yields the SQL in the texts of a *source* in Python, and what its calls make of statements."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if node not in parts and (text := _text(node)) is not None and _is_for_postgres(text):
            yield text
        elif isinstance(node, ast.Attribute):
            yield from _function(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _built(node, node.func)


def unknown_functions(found: Collection[str]) -> list[str]:
    """Returns the functions that *found* call and `engines` does not name."""
    called = {name.lower() for text in found for name in _CALLED.findall(_QUOTED.sub("", text))}
    tables = {table.name for table in metadata.tables.values()}
    return sorted(called - FUNCTIONS - NO_FUNCTIONS - tables)


def counts(found: Collection[str]) -> Mapping[str, int]:
    """Returns how many of *found* have each construct."""
    patterns = {one.name: re.compile(one.pattern, re.IGNORECASE) for one in CONSTRUCTS}
    return Counter({
        name: sum(pattern.search(text) is not None for text in found)
        for name, pattern in patterns.items()
    })  # fmt: skip


def table(found: Collection[str]) -> str:
    """Returns what *found* need, and which engine has it, as Markdown."""
    number = counts(found)
    headings = ("what the books need", "places", "CockroachDB", "YugabyteDB", "Citus")
    rows = [
        (one.name, str(number[one.name]), one.cockroach, one.yugabyte, one.citus)
        for one in CONSTRUCTS
    ]
    return page.markdown(headings, rows)


def _schema() -> Iterator[str]:
    for made in metadata.sorted_tables:
        yield str(CreateTable(made).compile(dialect=DIALECT))
        yield from (str(CreateIndex(index).compile(dialect=DIALECT)) for index in made.indexes)


def _ready(source: Path) -> Iterator[str]:
    name = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for value in vars(importlib.import_module(name)).values():
        if isinstance(value, Select | Insert | Update | Delete):
            with warnings.catch_warnings():
                # Of an insert that is completed only where it is used.
                warnings.simplefilter("ignore", SAWarning)
                yield str(value.compile(dialect=DIALECT))


def _is_for_postgres(text: str) -> bool:
    # Migrations have SQLite's triggers as well.
    return _SQL.match(text) is not None and "RAISE(" not in text and "rowid" not in text


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
        return "".join(map(str, parts))
    return None


def _function(name: ast.Attribute) -> Iterator[str]:
    if isinstance(name.value, ast.Name) and name.value.id == "func":
        yield f"{name.attr}()"


def _built(call: ast.Call, name: ast.Attribute) -> Iterator[str]:
    options = {option.arg for option in call.keywords}
    if name.attr == "with_for_update":
        strength = (
            "SHARE"
            if "read" in options
            else "NO KEY UPDATE"
            if "key_share" in options
            else "UPDATE"
        )
        yield f"FOR {strength}{' SKIP LOCKED' if 'skip_locked' in options else ''}"
    elif name.attr in ("on_conflict_do_nothing", "on_conflict_do_update"):
        yield "ON CONFLICT"
    elif name.attr == "next_value":
        yield "nextval()"
    elif name.attr == "add_listener":
        yield "LISTEN"


if __name__ == "__main__":
    main()
