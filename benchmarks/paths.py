"""Where an authority that is measured keeps its files."""

from __future__ import annotations

from pathlib import Path

from keyauthority.base.relational.location import Location, parse_location


def database(data_dir: Path) -> Location:
    """The SQLite file, or the PostgreSQL database that `postgres_url` names."""
    url = postgres_url(data_dir)
    return parse_location(url.read_text()) if url.exists() else sqlite(data_dir)


def sqlite(data_dir: Path) -> Path:
    """The SQLite file."""
    return data_dir / "keyauthority.db"


def postgres_url(data_dir: Path) -> Path:
    """The file with the URL of a PostgreSQL database, if the books are there."""
    return data_dir / "postgres.url"


def keyring(data_dir: Path) -> Path:
    """The keyring."""
    return data_dir / "keyring.json"


def root_token(data_dir: Path) -> Path:
    """The root token, written at the first start."""
    return data_dir / "root.token"
