"""What the calls of verifiers are about: read, and locked until the end of their transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyauthority.domain.credits.entering import read_sheets
from keyauthority.domain.credits.spending import Call
from keyauthority.domain.ledger import Entry
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sheets import Sheet
from keyauthority.domain.slices import OwnedSlice, Shared, SliceSheet

_NOBODY: Final = Shared()


@dataclass(frozen=True, slots=True)
class Locked:
    """What some calls are about: accounts that are locked, and what was read of them since.

    By workspace, but for entries (by workspace and reference) and the `homes` of keys. What sessions
    that no call names have in open slices is `outside`.
    """

    epoch: int
    sheets: Mapping[str, Sheet]
    slices: Mapping[str, SliceSheet]
    outside: Mapping[str, Shared]
    known: dict[tuple[str, str], Entry]
    homes: Mapping[str, str]

    def shared(self, workspace_id: str, beside: str) -> Shared:
        """Returns what sessions other than *beside* have in open slices of the workspace by now."""
        outside = self.outside.get(workspace_id, _NOBODY)
        inside = self.slices[workspace_id].shared(beside)
        return Shared(outside.sessions + inside.sessions, outside.amount + inside.amount)

    async def write(self, tx: Transaction) -> None:
        """Writes what has changed."""
        await tx.ledger.write([sheet.to_write for sheet in self.sheets.values() if sheet.changed])
        changes = [sheet.to_write() for sheet in self.slices.values()]
        await tx.slices.put([slice_ for put, _ in changes for slice_ in put])
        await tx.slices.forget([slice_ for _, forgotten in changes for slice_ in forgotten])


async def lock(tx: Transaction, calls: Sequence[Call]) -> Locked:
    """Reads and locks what *calls* are about: in a few statements, however much it is."""
    epoch = (await tx.feed.head()).epoch
    named = set[str]().union(*(call.workspace_ids for call in calls))
    sheets = await read_sheets(tx, sorted(named))
    slices = await _slice_sheets(tx, sheets, calls)
    outside = await _outside(tx, sheets, slices, calls)
    names = [charge.name for call in calls for charge in call.charges]
    known = await tx.ledger.by_reference(names) if names else {}
    keys = {charge.use.key_id for call in calls for charge in call.charges}
    homes = await tx.keys.homes(keys) if keys else {}
    return Locked(epoch, sheets, slices, outside, known, homes)


async def _slice_sheets(
    tx: Transaction, sheets: Mapping[str, Sheet], calls: Sequence[Call]
) -> dict[str, SliceSheet]:
    sessions = {named for call in calls for named in call.sessions if named[0] in sheets}
    by_workspace: dict[str, list[OwnedSlice]] = {workspace_id: [] for workspace_id in sheets}
    for slice_ in await tx.slices.of_sessions(sessions) if sessions else ():
        by_workspace[slice_.workspace_id].append(slice_)
    return {name: SliceSheet(name, slices) for name, slices in by_workspace.items()}


async def _outside(
    tx: Transaction,
    sheets: Mapping[str, Sheet],
    slices: Mapping[str, SliceSheet],
    calls: Sequence[Call],
) -> dict[str, Shared]:
    asking = {name for call in calls for name, slice_ in call.slices if slice_.want or slice_.need}
    asking &= sheets.keys()
    asking |= {workspace_id for workspace_id, sheet in sheets.items() if sheet.overdue}
    shared = await tx.slices.shared(asking, "") if asking else {}
    return {name: in_all.less(slices[name].shared()) for name, in_all in shared.items()}
