"""Whether a database is ours, and keeps what it commits."""

from __future__ import annotations

from typing import Any, Final

import structlog

from keyauthority.storage import migrations
from keyauthority.storage.errors import StorageError

OLDEST: Final = 14
"""The oldest PostgreSQL that the tests are worth something for: an older one gets no corrections."""

_SETTINGS: Final = """
SELECT current_setting('server_version_num')::int / 10000 AS version,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup') AS standbys
"""

log = structlog.get_logger()


async def examine(driver: Any, *, allow_async_standby: bool) -> None:
    """Raises `StorageError` if the database can't keep the promise, or has another schema."""
    settings = await driver.fetchrow(_SETTINGS)
    if settings["version"] < OLDEST:
        raise StorageError(f"PostgreSQL {OLDEST} or newer is needed")
    _check_durable(settings)
    _check_standbys(settings, allow_async_standby=allow_async_standby)
    revision = await usable_schema(driver)
    if revision is None:
        raise StorageError("the database has no schema yet: run keyauthority db migrate")
    if migrations.is_older(revision):
        raise StorageError(
            f"the database has an older schema ({revision}): run keyauthority db migrate"
        )


async def usable_schema(driver: Any) -> str | None:
    """The revision of the database's schema; None if it has none.

    Raises `StorageError` for one that this version may not use.
    """
    if await driver.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await driver.fetchval("SELECT version_num FROM alembic_version")
    if revision is not None and not migrations.may_use(revision, await _usable_from(driver)):
        raise StorageError(
            f"the database was written by a newer version, or another program (schema {revision}); "
            "use that version, or name another database"
        )
    return revision


async def _usable_from(driver: Any) -> str | None:
    if await driver.fetchval("SELECT to_regclass('compatibility')") is None:
        return None
    usable_from: str = await driver.fetchval("SELECT usable_from FROM compatibility")
    return usable_from


def _check_durable(settings: Any) -> None:
    # What `local` and `remote_write` leave out is what is lost when a standby takes over.
    if settings["synchronous_commit"] not in ("on", "remote_apply"):
        raise StorageError(
            f"the database has synchronous_commit = {settings['synchronous_commit']}: a revocation "
            "could be lost; set it to on"
        )
    for name in ("fsync", "full_page_writes"):
        if settings[name] != "on":
            raise StorageError(
                f"the database has {name} = {settings[name]}: a revocation could be lost; set it to on"
            )


def _check_standbys(settings: Any, *, allow_async_standby: bool) -> None:
    if settings["standbys"] == 0 or settings["synchronous_standby_names"]:
        return
    if not allow_async_standby:
        raise StorageError(
            "the database has standbys but no synchronous_standby_names: a failover could lose "
            "revocations; set it, or give --allow-async-standby to accept that"
        )
    log.warning(
        "promise_withdrawn_on_failover",
        why="a standby without synchronous_standby_names may lack revocations that were confirmed",
    )
