"""Whether a database is ours, and keeps what it commits."""

from __future__ import annotations

from typing import Any, Final

import structlog

from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.postgres import check_version, usable_revision
from keyauthority.storage.migrations import SCHEMA

_SETTINGS: Final = """
SELECT current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup') AS standbys
"""

log = structlog.get_logger()


async def examine(driver: Any, *, allow_async_standby: bool) -> None:
    """Raises `StorageError` if the database can't keep the promise, or has another schema."""
    await check_version(driver)
    settings = await driver.fetchrow(_SETTINGS)
    _check_durable(settings)
    _check_standbys(settings, allow_async_standby=allow_async_standby)
    SCHEMA.check_newest(await usable_revision(driver, SCHEMA), "keyauthority db migrate")


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
