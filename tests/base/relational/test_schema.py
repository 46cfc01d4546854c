"""What is known of migrations before any is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from console.people import migrations as console
from keyauthority.base.relational.schema import Schema
from keyauthority.base.relational.steps import config_of
from keyauthority.storage import migrations as authority
from tests.sqlite import new_books

ROOT = Path(__file__).parents[3]

START = """
import sys
from pathlib import Path
import keyauthority.server
from keyauthority.storage.sqlite import migrate_sqlite
migrate_sqlite(Path(sys.argv[1]))
print(*(name for name in ("alembic", "keyauthority.storage.postgres") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("schema", "folder"),
    [
        (authority.SCHEMA, Path("keyauthority/storage/migrations")),
        (console.SCHEMA, Path("console/people/migrations")),
    ],
    ids=["authority", "console"],
)
def test_the_revisions_are_alembics(schema: Schema, folder: Path) -> None:
    """The revisions that are read from the files are the ones that Alembic runs, in its order."""
    script = ScriptDirectory.from_config(config_of(ROOT / folder))
    assert schema._revisions == [step.revision for step in script.walk_revisions()][::-1]
    assert schema.newest() == script.get_current_head()


def test_a_start_imports_what_it_needs(tmp_path: Path) -> None:
    """Over a SQLite file of the newest schema, neither Alembic nor what knows PostgreSQL is loaded."""
    new_books(tmp_path / "books.db")
    command = [sys.executable, "-c", START, str(tmp_path / "books.db")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
