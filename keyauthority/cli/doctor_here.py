"""What `keyauthority doctor` checks on this machine: settings, files, the database, certificates."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from keyauthority.base.process.files import check_folder
from keyauthority.base.process.settings import SettingsError
from keyauthority.base.relational.location import Location
from keyauthority.cli.findings import Finding, failed, ok, skipped, warning
from keyauthority.client.credentials import SecretFileError, load_token
from keyauthority.config import Settings
from keyauthority.storage import maintenance

SOON: Final = timedelta(days=30)
"""A certificate that ends within this time is warned of."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_settings(settings: Settings | SettingsError) -> Finding:
    """Says whether `serve` would take the settings."""
    if isinstance(settings, SettingsError):
        return failed("settings", str(settings))
    return ok("settings", f"`serve` would listen at {settings.listen}")


def check_files(settings: Settings, token_file: Path) -> Iterator[Finding]:
    """Says whether the files that hold secrets are readable by their owner alone."""
    yield from _token(token_file)
    folder = settings.data_dir
    if not folder.is_dir():
        yield skipped(
            "files", f"there is no {folder}: no authority has run here with --data-dir {folder}"
        )
        return
    database = [settings.database] if isinstance(settings.database, Path) else []
    tls_key = [settings.tls_key] if settings.tls_key is not None else []
    files = [settings.root_token, settings.keyring, *database, *tls_key]
    wrong = [*_folders({one.parent for one in files}), *filter(None, map(_open_file, files))]
    yield from (failed("files", sentence) for sentence in wrong)
    if not wrong:
        yield ok("files", f"only their owner may read the secrets in {folder}")


def _token(file: Path) -> Iterator[Finding]:
    if not file.exists():
        yield skipped(
            "token", f"there is no {file}: point --token-file (KEYAUTHORITY_TOKEN_FILE) at yours"
        )
        return
    try:
        load_token(file)
    except SecretFileError as error:
        yield failed("token", str(error))
    else:
        yield ok("token", f"{file} holds one secret")


def _folders(folders: set[Path]) -> Iterator[str]:
    for folder in sorted(folders):
        try:
            check_folder(folder)
        except OSError as error:
            yield f"{error.strerror}" if error.filename is None else f"{folder}: {error.strerror}"


def _open_file(file: Path) -> str:
    try:
        mode = file.stat().st_mode
    except OSError:
        return ""
    return (
        f"{file} is open to others: chmod 600 it, and consider who has read it"
        if mode & _OTHERS
        else ""
    )


def check_database(location: Location, *, allow_async_standby: bool) -> Finding:
    """Says whether `serve` would start with the books: their settings, schema and health."""
    if isinstance(location, Path) and location.exists():
        owner = location.stat().st_uid
        if owner != os.geteuid():
            return skipped(
                "database", f"{location} belongs to {_user(owner)}: run this as that user"
            )
    try:
        books = asyncio.run(maintenance.examine(location, allow_async_standby=allow_async_standby))
    except maintenance.InUseError as error:
        return ok("database", f"{error}, which has checked it")
    except maintenance.StorageError as error:
        return failed("database", str(error))
    if not books:
        return skipped("database", f"there is none at {location} yet: the first start makes it")
    return ok("database", f"{location} keeps what was confirmed, and is undamaged")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def check_certificates(flags: dict[str, Path | None]) -> Iterator[Finding]:
    """Says whether the certificates in the files of *flags* are in force, and for how long."""
    for flag, file in flags.items():
        if file is not None:
            yield _certificate(flag, file)


def _certificate(flag: str, file: Path) -> Finding:
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        return failed("certificates", f"{flag}: cannot read {file}: {error.strerror}")
    except ValueError:
        return failed("certificates", f"{flag}: {file} holds no certificate in PEM")
    start = max(one.not_valid_before_utc for one in certificates)
    return judged_by_time(
        f"{flag} {file}", start, min(one.not_valid_after_utc for one in certificates)
    )


def judged_by_time(name: str, start: datetime, end: datetime) -> Finding:
    """Says whether a certificate that is in force from *start* to *end* is so now, and stays so."""
    now = datetime.now(UTC)
    if now < start:
        return failed(
            "certificates", f"{name} is in force only from {start:%Y-%m-%d} on: check the clock"
        )
    if now >= end:
        return failed("certificates", f"{name} ended on {end:%Y-%m-%d}: renew it")
    if end - now < SOON:
        return warning("certificates", f"{name} ends on {end:%Y-%m-%d}: renew it")
    return ok("certificates", f"{name} is in force until {end:%Y-%m-%d}")
