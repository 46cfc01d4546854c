"""The callers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.ports import Cursor
from keyauthority.storage.errors import certificate_name_taken, name_taken
from keyauthority.storage.memory.books import Books, newest


class MemoryCallers:
    """`Callers` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._callers = books.callers

    async def get(self, caller_id: str) -> Caller | None:
        return self._callers.get(caller_id)

    async def by_name(self, name: str) -> Caller | None:
        return next((caller for caller in self._in_force() if caller.name == name), None)

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        names = {name for name in certificate_names if name}
        return next((one for one in self._in_force() if one.certificate_name in names), None)

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        return newest(self._callers.values(), limit, after)

    async def never_sealed(self) -> list[Caller]:
        return [caller for caller in self._in_force() if caller.seal is None]

    async def admins(self) -> int:
        return sum(Role.ADMIN in caller.roles for caller in self._in_force())

    async def insert(self, caller: Caller) -> None:
        if await self.by_certificate([caller.certificate_name]) is not None:
            raise certificate_name_taken(caller.certificate_name)
        if await self.by_name(caller.name) is not None:
            raise name_taken(caller.name)
        self._callers[caller.id] = caller

    async def update(self, caller: Caller) -> None:
        self._callers[caller.id] = caller

    def _in_force(self) -> Iterator[Caller]:
        return (caller for caller in self._callers.values() if caller.revoke_time is None)
