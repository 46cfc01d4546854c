"""What is done to the books from outside the running authority: `keyauthority db`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from keyauthority.base.relational.location import Location
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.leasing import Leasing
from keyauthority.domain.restoring import Replayed, Restoring
from keyauthority.domain.sessions import Terms
from keyauthority.storage.errors import NoBooksError, StorageError
from keyauthority.storage.opening import open_books

__all__ = ["StorageError", "lease", "restore_epoch"]


async def lease(database: Location, length: timedelta | None) -> Terms:
    """The terms of leases, after setting how long they last if *length* says so.

    After a shortening this waits until the leases of the old length are over.
    Raises `StorageError`, `KeyAuthorityError`.
    """
    async with open_books(database) as store:
        leasing = Leasing(store)
        if length is None:
            return await leasing.terms()
        terms = await leasing.set(length)
        if terms.longest_lease > length:
            await asyncio.sleep(wait_out(terms.longest_lease))
            await leasing.forget_longer(terms)
        return await leasing.terms()


async def restore_epoch(
    database: Location, entries: Sequence[AuditEntry], longest_lease: timedelta
) -> tuple[int, Replayed, float]:
    """Begins a new epoch in a restored database; the epoch, what was done again, seconds waited.

    *entries* are audit entries exported from the database that was lost, *longest_lease* is the
    longest that it may have granted, if that is more than the backup knows of. When this returns, no
    verifier answers any more by what it knew from before.
    Raises `StorageError`, `KeyAuthorityError`.
    """
    async with open_books(database, may_make=False, restored=True) as store:
        async with store.reading() as tx:
            if not await tx.peppers.all():
                raise NoBooksError(f"there are no books in {database}: restore a backup of them")
        restoring = Restoring(store)
        head, replayed = await restoring.restore(entries, longest_lease)
        wait = wait_out((await Leasing(store).terms()).longest_lease)
        await asyncio.sleep(wait)
        await restoring.settle(head)
    return head.epoch, replayed, wait
