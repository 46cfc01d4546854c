"""A new database whose leases are as long as a test wants; nobody was ever granted a longer one.

python -m tests.e2e.new_books DATABASE SECONDS
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from keyauthority.base.relational.location import Location, parse_location
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import operator
from keyauthority.domain.leasing import Leasing
from keyauthority.storage.opening import migrate_books, open_books


def new_books(database: Location, lease: float) -> None:
    """Makes the tables, and sets the lease to so many seconds."""
    migrate_books(database)
    asyncio.run(set_lease(database, lease))


async def set_lease(database: Location, lease: float) -> None:
    # `keyauthority db lease` would wait until the longer ones from before are over.
    async with open_books(database) as store:
        leasing, who = Leasing(Books(store, Unfenced())), operator("db lease")
        terms = await leasing.set(who, timedelta(seconds=lease))
        await leasing.forget_longer(who, terms)


if __name__ == "__main__":
    new_books(parse_location(sys.argv[1]), float(sys.argv[2]))
