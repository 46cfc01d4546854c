"""The document about the proof of credits names tests and seeded bugs that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.credits.seeded import BUGS
from tests.escrow import test_model
from tests.escrow.model import Model

TESTS: Final = Path(__file__).parent
TEXT: Final = (TESTS.parent / "docs" / "credits-proof.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables in that chapter."""
    [chapter] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    lines = [line for line in chapter.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT))
    missing = [
        (file, name)
        for file, name in sorted(named)
        if not re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text(), re.MULTILINE)
    ]

    assert missing == []
    assert len(named) > 50


def test_each_seeded_bug_is_named() -> None:
    classes = {
        name
        for name, one in vars(test_model).items()
        if isinstance(one, type) and issubclass(one, Model) and one not in {Model, test_model.Two}
    }
    table = rows("The seeded bugs")
    named = {cell.strip("`") for row in table for cell in row}

    assert named >= classes | BUGS.keys()
    # Two tables, each with a head.
    assert len(table) == len(classes) + len(BUGS) + 2


def test_each_promise_and_each_of_the_thirty_requirements_is_held() -> None:
    """Or the document says why it does not apply."""
    requirements = rows("The thirty requirements")[1:]
    assert [row[0] for row in requirements] == [str(number) for number in range(1, 31)]
    assert all("::" in row[2] or "does not apply" in row[2] for row in requirements)
    assert all("::" in row[2] for row in rows("The promises")[1:])
