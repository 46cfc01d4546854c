"""Another version of the programs: these, with one schema step more, or some fewer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic.script import ScriptDirectory

from console.people import migrations as console
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.storage import migrations as authority

ROOT: Final = Path(__file__).parents[2]

NEXT: Final = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{newest}"
usable_from = "{usable_from}"


def upgrade() -> None:
    op.add_column("{table}", sa.Column("next", sa.Text))
"""


@dataclass(frozen=True)
class Books:
    """One of the two programs with books: where its steps are, and how they are run."""

    program: str
    steps: Path
    prefix: str
    table: str
    migrate: tuple[str, ...]
    start: tuple[str, ...]

    def script(self, root: Path = ROOT) -> ScriptDirectory:
        """The steps in a copy of the programs."""
        return ScriptDirectory(str(root / self.steps))

    def known(self, root: Path = ROOT) -> list[str]:
        """The revisions that a copy knows, newest first."""
        return [step.revision for step in self.script(root).walk_revisions()]

    def usable_from(self) -> str:
        """What this version's newest step says."""
        newest = self.script().get_revision(self.known()[0])
        return str(newest.module.usable_from)


AUTHORITY: Final = Books(
    "keyauthority",
    Path(authority.__file__).parent.relative_to(ROOT),
    "",
    "workspaces",
    ("db", "migrate", "--database", "{}"),
    # Opens the books as a start does, and ends.
    ("db", "lease", "--database", "{}"),
)
CONSOLE: Final = Books(
    "console",
    Path(console.__file__).parent.relative_to(ROOT),
    "console_",
    "people",
    ("--database", "{}", "migrate"),
    ("--database", "{}", "migrate"),
)


def older(books: Books, folder: Path, fewer: int) -> Path:
    """A copy that lacks the *fewer* newest steps."""
    copy = _copy(folder)
    for revision in books.known()[:fewer]:
        Path(books.script(copy).get_revision(revision).path).unlink()
    return copy


def newer(books: Books, folder: Path, usable_from: str | None = None) -> Path:
    """A copy with one step more; *usable_from* None: from its own step on."""
    copy, revision = _copy(folder), f"{books.prefix}9999"
    step = NEXT.format(
        revision=revision,
        newest=books.known()[0],
        usable_from=usable_from or revision,
        table=books.table,
    )
    (copy / books.steps / "versions" / "9999_next.py").write_text(step)
    return copy


def run(
    books: Books, root: Path, command: tuple[str, ...], location: Location
) -> subprocess.CompletedProcess[str]:
    """How *command*, with the place for `{}`, of the programs at *root* ends."""
    place = location.reveal() if isinstance(location, PostgresUrl) else str(location)
    return subprocess.run(
        [sys.executable, "-m", books.program, *(word.format(place) for word in command)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _copy(folder: Path) -> Path:
    for package in ("keyauthority", "console"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    return folder
