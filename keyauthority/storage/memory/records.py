"""All repositories but the keys and the leases."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.last_used import Marks
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.repositories import Cursor, Replay
from keyauthority.domain.workspaces import Workspace
from keyauthority.storage.errors import certificate_name_taken, name_taken
from keyauthority.storage.memory.books import Repository, newest


class MemoryCallers(Repository):
    """`Callers` within one transaction."""

    async def get(self, caller_id: str) -> Caller | None:
        return self._books.callers.get(caller_id)

    async def by_name(self, name: str) -> Caller | None:
        return next((caller for caller in self._in_force() if caller.name == name), None)

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        names = {name for name in certificate_names if name}
        return next(
            (caller for caller in self._in_force() if caller.certificate_name in names), None
        )

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        return newest(self._books.callers.values(), limit, after)

    async def never_sealed(self) -> list[Caller]:
        return [caller for caller in self._in_force() if caller.seal is None]

    async def admins(self) -> int:
        return sum(Role.ADMIN in caller.roles for caller in self._in_force())

    async def insert(self, caller: Caller) -> None:
        if await self.by_certificate([caller.certificate_name]) is not None:
            raise certificate_name_taken(caller.certificate_name)
        if await self.by_name(caller.name) is not None:
            raise name_taken(caller.name)
        self._books.callers[caller.id] = caller

    async def update(self, caller: Caller) -> None:
        self._books.callers[caller.id] = caller

    def _in_force(self) -> Iterator[Caller]:
        return (caller for caller in self._books.callers.values() if caller.revoke_time is None)


class MemoryWorkspaces(Repository):
    """`Workspaces` within one transaction."""

    async def get(self, workspace_id: str) -> Workspace | None:
        return self._books.workspaces.get(workspace_id)

    async def to_change(self, workspace_id: str) -> Workspace | None:
        return await self.get(workspace_id)

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        return {
            workspace_id: self._books.workspaces[workspace_id]
            for workspace_id in workspace_ids
            if workspace_id in self._books.workspaces
        }

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        return newest(self._books.workspaces.values(), limit, after)

    async def insert(self, workspace: Workspace) -> None:
        self._books.workspaces[workspace.id] = workspace

    async def update(self, workspace: Workspace) -> None:
        self._books.workspaces[workspace.id] = workspace


class MemoryPeppers(Repository):
    """`Peppers` within one transaction."""

    async def all(self) -> list[Pepper]:
        return [pepper for _, pepper in sorted(self._books.peppers.items())]

    async def to_change(self) -> list[Pepper]:
        return await self.all()

    async def put(self, pepper: Pepper) -> None:
        self._books.peppers[pepper.version] = pepper

    async def uses(self) -> dict[int, int]:
        uses = Counter(
            secret.pepper_version
            for key in self._books.keys.values()
            for secret in key.secrets
            if key.revocation is None and not secret.ended(self._time)
        )
        uses.update(
            caller.pepper_version
            for caller in self._books.callers.values()
            if caller.revoke_time is None
        )
        return dict(uses)

    async def forget(self, version: int) -> None:
        for key in list(self._books.keys.values()):
            old = [secret for secret in key.secrets if secret.pepper_version == version]
            for secret in old:
                self._books.imports.pop(secret.digest, None)
            self._forget_digests(key, old)
            left = tuple(secret for secret in key.secrets if secret not in old)
            self._books.keys[key.id] = replace(key, secrets=left)
        for caller in list(self._books.callers.values()):
            if caller.pepper_version == version:
                self._books.callers[caller.id] = replace(caller, digest=b"")

    def _forget_digests(self, key: Key, secrets: Iterable[StoredSecret]) -> None:
        last_used = self._books.last_used
        for secret in secrets:
            time = last_used.pop((key.id, secret.digest), None)
            if time is not None:
                last_used[key.id, b""] = max(time, last_used.get((key.id, b""), time))


class MemoryReplays(Repository):
    """`Replays` within one transaction."""

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        return self._books.replays.get((caller_id, request_id))

    async def put(self, replay: Replay) -> None:
        self._books.replays[replay.caller_id, replay.request_id] = replay

    async def prune(self, now: datetime) -> int:
        expired = [
            name for name, replay in self._books.replays.items() if replay.expire_time <= now
        ]
        for name in expired:
            del self._books.replays[name]
        return len(expired)


class MemoryLastUses(Repository):
    """`LastUses` within one transaction."""

    async def note(self, marks: Marks) -> None:
        for secret, time in marks.items():
            self._books.last_used[secret] = max(time, self._books.last_used.get(secret, time))

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        times: defaultdict[str, dict[bytes, datetime]] = defaultdict(dict)
        for (key_id, digest), time in self._books.last_used.items():
            if key_id in key_ids:
                times[key_id][digest] = time
        return dict(times)


class MemoryAuditLog(Repository):
    """`AuditLog` within one transaction."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        for entry in entries:
            self._books.audited += 1
            self._books.audit[self._books.audited] = replace(entry, id=self._books.audited)

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        newest_first = reversed(self._books.audit.values())
        matching = (
            entry
            for entry in newest_first
            if (before is None or entry.id < before) and _matches(which, entry)
        )
        return list(islice(matching, limit))

    async def prune(self, before: datetime, limit: int) -> int:
        old = [entry.id for entry in self._books.audit.values() if entry.time < before][:limit]
        for entry_id in old:
            del self._books.audit[entry_id]
        return len(old)


def _matches(which: AuditFilter, entry: AuditEntry) -> bool:
    return (
        which.subject in ("", entry.subject)
        and which.workspace_id in ("", entry.workspace_id)
        and which.caller_id in ("", entry.caller_id)
        and which.person_id in ("", entry.person_id)
        and which.method in ("", entry.method)
        and which.action in (None, entry.action)
        and (which.start is None or which.start <= entry.time)
        and (which.end is None or entry.time < which.end)
    )
