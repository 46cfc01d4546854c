"""Maintenance of the books from outside the running authority: `keyauthority db`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from keyauthority.base.relational.location import Location
from keyauthority.base.relational.outages import StorageError
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import operator
from keyauthority.domain.credits.replaying import NO_LEDGERS, Ledgers
from keyauthority.domain.leasing import Leasing
from keyauthority.domain.restoring import RESTORE, Replayed, Restoring
from keyauthority.domain.sessions import Terms
from keyauthority.storage.errors import InUseError, NoBooksError
from keyauthority.storage.opening import examine_books, open_books

__all__ = ["InUseError", "StorageError", "examine", "lease", "restore_epoch"]


async def examine(database: Location, *, allow_async_standby: bool = False) -> bool:
    """Returns whether there are books at *database*, and changes nothing.

    Raises `StorageError`, in a sentence, if `serve` would refuse to start with them; `InUseError` if a
    process has the SQLite file, which has then passed the same checks.
    """
    return await examine_books(database, allow_async_standby=allow_async_standby)


async def lease(database: Location, length: timedelta | None) -> Terms:
    """Sets the length of leases, unless *length* is None, and returns the terms.

    After a shortening this waits until the leases of the old length are over.
    Raises `StorageError`, `KeyAuthorityError`.
    """
    async with open_books(database) as store:
        leasing, who = Leasing(Books(store, Unfenced())), operator("db lease")
        if length is None:
            return await leasing.terms()
        terms = await leasing.set(who, length)
        if terms.longest_lease > length:
            await asyncio.sleep(wait_out(terms.longest_lease))
            await leasing.forget_longer(who, terms)
        return await leasing.terms()


async def restore_epoch(
    database: Location,
    entries: Sequence[AuditEntry],
    longest_lease: timedelta,
    ledgers: Ledgers = NO_LEDGERS,
) -> tuple[int, Replayed, float]:
    """Begins a new epoch in a restored database; returns the epoch, the replay and seconds waited.

    *entries* are audit entries exported from the lost database, *ledgers* entries of its ledgers;
    *longest_lease* is the longest that it may have granted, in case the backup knows of none as long. When this returns, no verifier answers by a state from before.
    Raises `StorageError`, `KeyAuthorityError`.
    """
    async with open_books(database, may_make=False, restored=True) as store:
        # Unfenced: the change is in force when every older lease is over, which is waited for below.
        books, who = Books(store, Unfenced()), operator(RESTORE)
        if not await books.read(lambda tx: tx.peppers.all()):
            raise NoBooksError(f"there are no books in {database}: restore a backup of them")
        restoring = Restoring(books)
        head, replayed = await restoring.restore(who, entries, longest_lease, ledgers)
        wait = wait_out((await Leasing(books).terms()).longest_lease)
        await asyncio.sleep(wait)
        await restoring.settle(who, head)
    return head.epoch, replayed, wait
