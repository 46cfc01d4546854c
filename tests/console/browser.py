"""The browser that tests look at pages with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import playwright
import pytest
from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Return the path of a Chromium; None leaves it to Playwright to find its own."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def _missing() -> str:
    """Why Playwright can't run here; empty if it can."""
    driver = Path(playwright.__file__).parent / "driver" / "node"
    ended = subprocess.run([driver, "--version"], capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return ""
    library = ended.stderr.rpartition("libraries: ")[2].partition(":")[0].strip()
    return f"needs {library} for the driver of Playwright: install it"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser without a window; skip the test if this machine has none."""
    if reason := _missing():
        pytest.skip(reason)
    with sync_playwright() as playwrights:
        try:
            browser = playwrights.chromium.launch(
                executable_path=executable(), args=list(ARGUMENTS)
            )
        except Error:
            pytest.skip("needs Chromium: install it, or name one by CHROMIUM")
        try:
            yield browser
        finally:
            browser.close()
