"""The steps that create the authority's tables."""

from pathlib import Path
from typing import Final

from keyauthority.base.relational.schema import Schema
from keyauthority.storage.tables import compatibility

SCHEMA: Final = Schema(Path(__file__).parent, compatibility)
