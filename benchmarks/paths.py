"""Where an authority that is measured keeps its files."""

from __future__ import annotations

from pathlib import Path


def database(data_dir: Path) -> Path:
    """The SQLite file."""
    return data_dir / "keyauthority.db"


def keyring(data_dir: Path) -> Path:
    """The keyring."""
    return data_dir / "keyring.json"


def root_token(data_dir: Path) -> Path:
    """The root token, written at the first start."""
    return data_dir / "root.token"
