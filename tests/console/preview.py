"""Pictures of every page: `python -m tests.console.preview FOLDER [NAME…]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.console.browser import chromium
from tests.console.samples import PAGES
from tests.console.showing import showing

WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark")


def take(folder: Path, names: set[str]) -> None:
    """Write `<name>-<width>-<scheme>.png` of each page into *folder*; all of them without names."""
    with showing() as origin, chromium() as browser:
        for scheme in SCHEMES:
            for width in WIDTHS:
                context = browser.new_context(
                    viewport={"width": width, "height": 800},
                    color_scheme="dark" if scheme == "dark" else "light",
                    timezone_id="Asia/Seoul",
                )
                page = context.new_page()
                for sample in PAGES:
                    if names and sample.name not in names:
                        continue
                    page.goto(f"{origin}/{sample.name}")
                    page.screenshot(
                        path=folder / f"{sample.name}-{width}-{scheme}.png", full_page=True
                    )
                context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    take(target, set(sys.argv[2:]))
