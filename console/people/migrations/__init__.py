"""The migrations of the console's tables."""

from pathlib import Path
from typing import Final

from console.people.tables import compatibility
from keyauthority.base.relational.schema import Schema

SCHEMA: Final = Schema(Path(__file__).parent, compatibility)
