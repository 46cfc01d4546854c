"""How long leases last."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyauthority.domain.errors import invalid
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Terms

SHORTEST: Final = timedelta(milliseconds=200)
LONGEST: Final = timedelta(minutes=1)


class Leasing:
    """Reads and sets the terms of leases.

    A longer lease is granted at once, and waited for at once. After a shortening those of the old
    length are still out: they are waited for until `forget_longer`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def terms(self) -> Terms:
        """What leases are granted by."""
        async with self._store.reading() as tx:
            return await tx.leases.terms()

    async def set(self, lease: timedelta) -> Terms:
        """Has leases last so long from now on; the terms, with the longest that may be out.

        Raises `KeyAuthorityError`: `FIELD_INVALID`.
        """
        if not SHORTEST <= lease <= LONGEST:
            raise invalid("lease", "is not between 200ms and 60s")
        async with self._store.changing() as tx:
            before = await tx.leases.terms()
            terms = replace(before, lease=lease, longest_lease=max(before.longest_lease, lease))
            await tx.leases.put(terms)
            return await tx.leases.terms()

    async def forget_longer(self, since: Terms) -> None:
        """Says that no longer lease is out than the terms *since* then grant, which was waited for.

        Without effect if the terms were changed meanwhile: longer ones may have been granted again.
        """
        async with self._store.changing() as tx:
            terms = await tx.leases.terms()
            if terms.version == since.version:
                await tx.leases.put(replace(terms, longest_lease=terms.lease))
