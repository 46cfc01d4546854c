"""The authority itself: PORT, METRICS PORT, DATA DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.paths import database, keyring
from keyauthority.config import Settings
from keyauthority.server import run


def _settings(port: str, metrics_port: str, data_dir: Path) -> Settings:
    return Settings(
        listen=f"127.0.0.1:{port}",
        data_dir=data_dir,
        database=database(data_dir),
        keyring=keyring(data_dir),
        metrics_listen=f"127.0.0.1:{metrics_port}",
        log_level="warning",
    )


if __name__ == "__main__":
    sys.exit(run(_settings(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
