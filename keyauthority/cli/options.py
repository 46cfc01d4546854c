"""What stands before the group on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """How to answer, and which authority to ask with which token."""

    json: bool
    address: str
    data_dir: Path
    token_file: Path
    tls_ca: Path | None
    tls_client_cert: Path | None
    tls_client_key: Path | None
    timeout: timedelta
