"""How tests share the processes of a run, and what it says at its end of those that were skipped."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.postgres import databases_dropped

HERE = Path(__file__).parent

# A process of ours that crashes says where.
os.environ.setdefault("PYTHONFAULTHANDLER", "1")

LONGEST = ("faults", "e2e", "versions", "coherence", "credits", "escrow", "console", "storage")
"""The folders whose files take the longest, in the order in which they begin."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file stay together, for what they share; those that cut networks are all one.

    These come first, then the other long ones: short ones fill the processes at the end.
    """
    for item in items:
        folder = _folder(item)
        group = folder if folder == LONGEST[0] else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = _folder(item)
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)


def _folder(item: pytest.Item) -> str:
    # Empty for a test elsewhere.
    return item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""


@pytest.fixture(autouse=True)
def _databases_end_with_the_test() -> Iterator[None]:
    with databases_dropped():
        yield


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The log of this process is set up by the test, and afterwards as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what would bring each test that was skipped, a line a reason."""
    skipped = terminalreporter.getreports("skipped")
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.write_sep("=", "skipped, and what would bring it")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5} {reason}")
