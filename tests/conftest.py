"""What a run says at its end: what was skipped and what would bring it, a line a reason."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.write_sep("=", "skipped, and what would bring it")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5} {reason}")
