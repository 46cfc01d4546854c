"""The page says what the commands say, from costs that were measured where it says."""

from __future__ import annotations

import pytest

from benchmarks.scaling import costs, engines, measured, page, report, statements

SOURCE = """
LOOK = "SELECT a FROM b WHERE c = $1 FOR UPDATE"
OTHER = f"INSERT INTO {table} VALUES (brand_new($1))"
query = select(table).with_for_update(key_share=True)
lock = func.pg_advisory_xact_lock
text = "SELECTED by hand ("
"""


def test_costs_are_from_rows_that_there_are() -> None:
    """Whoever renames a row of the results has to say so in `costs`."""
    assert [row for row in sorted(costs.rows()) if not measured.has_row(row)] == []


def test_the_page_has_the_costs_of_the_simulation() -> None:
    """After a change of a cost, `make scaling` is owed."""
    text = page.PAGE.read_text()
    assert page.filled(text, {"costs": report.cost_table()}) == text


def test_the_page_has_a_place_for_each_table() -> None:
    """And none is empty."""
    text = page.PAGE.read_text()
    names = page.tables(text)
    assert {"walls", "costs", "fan-out", "changes", "regions", "engines"} <= set(names)
    for name in names:
        assert page.filled(text, {name: ""}) != text, f"{name} is empty"


def test_a_table_without_a_place_is_refused() -> None:
    text = "before\n<!-- table: one -->\nold\n<!-- end -->\nafter\n"
    assert page.filled(text, {"one": "new"}) == text.replace("old", "new")
    with pytest.raises(KeyError, match="two"):
        page.filled(text, {"two": "new"})


def test_statements_are_read_from_the_sources() -> None:
    """SQL in texts, and what calls make of statements."""
    found = set(statements.read(SOURCE))
    assert found == {
        "SELECT a FROM b WHERE c = $1 FOR UPDATE",
        "INSERT INTO x VALUES (brand_new($1))",
        "FOR NO KEY UPDATE",
        "pg_advisory_xact_lock()",
    }
    assert statements.counts(found)["`FOR NO KEY UPDATE`"] == 1
    assert statements.unknown_functions(found) == ["brand_new"]


def test_other_engines_were_judged_by_all_that_the_books_need() -> None:
    """Each construct is still needed, and each function known. How often, the page may say late."""
    found = statements.texts()
    assert statements.unknown_functions(found) == []
    assert [name for name, number in statements.counts(found).items() if not number] == []
    text = page.PAGE.read_text()
    for one in engines.CONSTRUCTS:
        assert f"| {one.name} |" in text
        assert f"| {one.cockroach} | {one.yugabyte} | {one.citus} |" in text
