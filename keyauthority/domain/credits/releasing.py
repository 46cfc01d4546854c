"""Slices of sessions that are over: set aside, and later given back."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from keyauthority.domain.books import Books, Posting
from keyauthority.domain.credits.entering import EXPIRING, read_sheet, write_sheet
from keyauthority.domain.ports import Sessions
from keyauthority.escrow.slices import give_back

LONGEST_REQUEST: Final = timedelta(minutes=10)
"""T: so long whoever has a verifier's spool may charge what was held when its session ended."""

_SESSIONS: Final = 1_000
_WORKSPACES: Final = 100
_SLICES: Final = 1_000


class Releasing:
    """Returns what dead verifiers left. Several processes may do so at once."""

    def __init__(self, books: Books, sessions: Sessions) -> None:
        self._books = books
        self._sessions = sessions

    async def set_aside(self) -> None:
        """Sets aside the slices of all sessions that are over.

        The ids are read first, and then which of them live: ids never come back, so that the others
        are over for good.
        """
        last = ""
        while ids := await self._books.read(lambda tx: tx.slices.sessions(last, _SESSIONS)):  # noqa: B023
            living = await self._sessions.callers_of(ids)
            over = [one for one in ids if one not in living]
            if over:
                await self._set_aside(over)
            last = ids[-1]

    async def _set_aside(self, over: list[str]) -> None:
        longest_lease = (await self._sessions.standing()).terms.longest_lease

        async def work(posting: Posting) -> None:
            until = posting.tx.time + longest_lease + LONGEST_REQUEST
            await posting.tx.slices.set_aside(over, until)

        await self._books.post(work)

    async def escrowed(self) -> int:
        """Returns what stands in slices of all workspaces, in nano-credits."""
        return await self._books.read(lambda tx: tx.slices.amount())

    async def due(self, after: str = "") -> list[str]:
        """Returns up to 100 workspaces, beyond the id *after*, to which something is to go back."""
        return await self._books.read(lambda tx: tx.slices.due(tx.time, after, _WORKSPACES))

    async def release(self, workspace_id: str) -> None:
        """Gives back to the workspace what is due. What had to expire meanwhile expires now."""

        async def work(posting: Posting) -> int:
            tx = posting.tx
            sheet = await read_sheet(tx, workspace_id)
            due = await tx.slices.due_of(workspace_id, tx.time, _SLICES)
            for one in due:
                sheet.account, _ = give_back(sheet.account, one.slice)
            sheet.expire(EXPIRING.signature)
            await tx.slices.forget(due)
            await write_sheet(tx, sheet)
            return len(due)

        while await self._books.post(work) == _SLICES:
            pass
