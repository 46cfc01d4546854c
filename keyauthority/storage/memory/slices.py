"""What of the workspaces' credits stands in slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from keyauthority.domain.slices import OwnedSlice, Shared
from keyauthority.storage.memory.books import Repository


class MemorySlices(Repository):
    """`Slices` within one transaction."""

    async def of_sessions(self, sessions: Collection[tuple[str, str]]) -> list[OwnedSlice]:
        mine = [one for one in self._all() if (one.workspace_id, one.session_id) in sessions]
        return sorted(mine, key=lambda one: one.slice.number)

    async def shared(self, workspace_ids: Collection[str], beside: str) -> dict[str, Shared]:
        others: dict[str, list[OwnedSlice]] = {}
        for one in self._all():
            spends = one.slice.amount > 0 and not one.slice.closed and one.release_time is None
            if spends and one.workspace_id in workspace_ids and one.session_id != beside:
                others.setdefault(one.workspace_id, []).append(one)
        return {
            workspace_id: Shared(
                len({one.session_id for one in them}), sum(one.slice.amount for one in them)
            )
            for workspace_id, them in others.items()
        }

    async def put(self, changed: Sequence[OwnedSlice]) -> None:
        for one in changed:
            before = self._books.slices.get(_key(one))
            if before is not None:
                one = replace(before, slice=one.slice)  # noqa: PLW2901  # it stays whose it was
            self._books.slices[_key(one)] = one

    async def forget(self, forgotten: Sequence[OwnedSlice]) -> None:
        for one in forgotten:
            self._books.slices.pop(_key(one), None)

    async def sessions(self, after: str, limit: int) -> list[str]:
        ids = {one.session_id for one in self._all() if one.release_time is None}
        return sorted(one for one in ids if one > after)[:limit]

    async def set_aside(self, session_ids: Collection[str], until: datetime) -> int:
        over = [
            one for one in self._all() if one.session_id in session_ids and not one.release_time
        ]
        for one in over:
            self._books.slices[_key(one)] = replace(one, release_time=until)
        return len(over)

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        due = {one.workspace_id for one in self._all() if _due(one, now)}
        return sorted(one for one in due if one > after)[:limit]

    async def due_of(self, workspace_id: str, now: datetime, limit: int) -> list[OwnedSlice]:
        due = [one for one in self._all() if one.workspace_id == workspace_id and _due(one, now)]
        return due[:limit]

    async def amount(self) -> int:
        return sum(one.slice.amount for one in self._all())

    async def void_all(self) -> None:
        accounts = self._books.accounts
        held = {workspace_id for workspace_id in accounts if accounts[workspace_id].escrowed}
        await self.forget(self._all())
        for workspace_id in held:
            accounts[workspace_id] = replace(accounts[workspace_id], escrowed=0)

    def _all(self) -> list[OwnedSlice]:
        return list(self._books.slices.values())


def _key(one: OwnedSlice) -> tuple[str, str, int]:
    return one.workspace_id, one.session_id, one.slice.number


def _due(one: OwnedSlice, now: datetime) -> bool:
    return one.release_time is not None and one.release_time <= now
