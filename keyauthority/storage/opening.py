"""Opening the books at a location, whatever the database.

What knows PostgreSQL is imported where it is used: it takes a tenth of a start, which an authority over
a SQLite file would spend in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from keyauthority.base.process.clocks import SystemClock
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.domain.ports import Clock, Store
from keyauthority.domain.sessions import Head
from keyauthority.storage.sqlite import examine_sqlite, migrate_sqlite, open_sqlite


def open_books(
    location: Location,
    clock: Clock | None = None,
    *,
    allow_async_standby: bool = False,
    may_make: bool = True,
    restored: bool = False,
) -> AbstractAsyncContextManager[Store]:
    """Opens the books at *location*; a SQLite file is migrated as needed, PostgreSQL never.

    *may_make* allows a new SQLite file. *restored* allows one that was copied while in use. Without a
    *clock*, the machine's clock judges expiries, on PostgreSQL the database's.

    Raises `StorageError`, `NoBooksError`.
    """
    if isinstance(location, PostgresUrl):
        from keyauthority.storage.postgres import open_postgres  # noqa: PLC0415

        return open_postgres(location, clock, allow_async_standby=allow_async_standby)
    return open_sqlite(location, clock or SystemClock(), may_make=may_make, restored=restored)


async def examine_books(location: Location, *, allow_async_standby: bool = False) -> bool:
    """Returns whether there are books at *location*, which `serve` would start with.

    Raises `StorageError`; `InUseError` if another process has the SQLite file.
    """
    if isinstance(location, PostgresUrl):
        async with open_books(location, allow_async_standby=allow_async_standby):
            return True
    return await asyncio.to_thread(examine_sqlite, location)


def is_shared(location: Location) -> bool:
    """Returns whether several processes may use the books at *location* at the same time."""
    return isinstance(location, PostgresUrl)


def hints(
    location: Location,
    changed: Callable[[Head | None], None],
) -> AbstractAsyncContextManager[None]:
    """Passes on what other processes may have done to the books, while the context lasts.

    Calls *changed* with the head that a process committed, with None if one may have.
    """
    if isinstance(location, PostgresUrl):
        from keyauthority.storage.postgres import listening  # noqa: PLC0415

        return listening(location, changed)
    return nullcontext()


def migrate_books(location: Location) -> None:
    """Migrates the books at *location* to the schema of this version. Raises `StorageError`."""
    if isinstance(location, PostgresUrl):
        from keyauthority.storage.postgres import migrate_postgres  # noqa: PLC0415

        asyncio.run(migrate_postgres(location))
    else:
        migrate_sqlite(location)
