"""Seeded bugs: each breaks one rule of the shipped code, so that some seed breaks a promise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from keyauthority.client import OutOfCredits
from keyauthority.client.spending.backlog import Backlog
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.holding import Spending
from keyauthority.client.spending.messages import charges_message
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.settling import Settling
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.credits import crediting, replaying
from keyauthority.domain.credits.charging import Charging
from keyauthority.domain.credits.replaying import Exported
from keyauthority.domain.sessions import Receipt
from keyauthority.escrow import slices
from keyauthority.escrow.purse import Purse
from keyauthority.escrow.slices import Account, Settled, Slice, SliceCall, Word
from tests.credits.authority import Authority
from tests.credits.disk import ModelSpool

# --- the verifier


def _spends_after_closing(self: Purse) -> None:
    free = self.free
    _close(self)
    self.free = free


def _takes_late_grants(self: Purse, call: Any, word: Word, granted: int) -> bool:
    self._call = call
    return _answered(self, call, word, granted)


def _refuses_late_comers(self: WorkspaceCredits, *args: Any, **kwargs: Any) -> None:
    self.line._covered = self.line._arrived
    _workspace_answered(self, *args, **kwargs)


def _refuses_at_failures(self: Settling, message: Any, failure: Any) -> None:
    for part in message.parts:
        part.workspace.line.refuse_all(OutOfCredits())
    _failed(self, message, failure)


def _frees_before_it_is_written(self: Ends, ends: Any) -> None:
    charged = [one for one in ends if one[2]]
    if charged:
        self._written.appendleft((0, charged))
        self._synced(0)
        self._spool.end([charge for _, charge, _ in charged], [])
    others = [one for one in ends if not one[2]]
    if others:
        _write_ends(self, others)


async def _closes_before_charging(self: Backlog, charges: list[SpooledCharge]) -> None:
    for named in list(self._slices):
        await self._calling.settle(charges_message([], [named]))
    await _bring(self, charges)


def _charges_no_more_than_was_held(self: Spending, cost: int, **told: Any) -> None:
    _charge(self, min(cost, self.amount), **told)


# --- the spool, which is a model: the shipped one has these rules in tests of its own


async def _adopts_no_open_holds(self: ModelSpool) -> list[SpooledCharge]:
    for record in self._disk.records.values():
        if not record.owner.locked and record.charge is None:
            record.voided = True
    return await _adopt(self)


def _forgets_older_epochs(self: ModelSpool, epoch: int) -> list[SpooledCharge]:
    records = self._disk.records
    return [one for one in _unconfirmed(self, epoch) if records[one.reference].confirmed < 0]


# --- the authority


def _grants_again(account: Account, latest: Slice | None, call: SliceCall) -> Settled | None:
    forgotten = latest and replace(latest, sequence=min(latest.sequence, call.sequence - 1))
    return _is_answered(account, forgotten, call)


def _grants_what_others_hold(account: Account, call: SliceCall, sharers: int) -> tuple[Word, int]:
    return _grant(replace(account, escrowed=0), call, sharers)


def _says_out_for_busy(account: Account, call: SliceCall, sharers: int) -> tuple[Word, int]:
    word, granted = _grant(account, call, sharers)
    return (Word.OUT if word is Word.BUSY else word), granted


def _enters_twice(self: Charging, _one: Any) -> None:
    return None


async def _enters_under_new_names(self: Any, one: Exported) -> None:
    entry = replace(one.entry, reference=f"again {one.entry.reference}")
    await _enter(self, replace(one, entry=entry))


def _announces_no_reduction(*_: Any) -> None:
    pass


async def _waits_for_nobody(self: Authority, revision: int) -> Receipt:
    self._look()
    return Receipt(revision)


def _keeps_any_lease(self: CoherentCache[Any], _now: float) -> bool:
    return self.lease_until > -math.inf


_close, _answered, _grant = Purse.close, Purse.answered, slices.grant
_workspace_answered, _failed, _bring = WorkspaceCredits.answered, Settling._failed, Backlog._bring
_write_ends = Ends._write
_charge, _adopt, _unconfirmed = Spending.charge, ModelSpool.adopt, ModelSpool.unconfirmed
_is_answered, _enter = slices.answered, replaying._Continuation._enter

BUGS: Final[dict[str, tuple[Any, str, Any]]] = {
    "a slice that is closed is spent from": (Purse, "close", _spends_after_closing),
    "a grant to a slice that was closed is spent": (Purse, "answered", _takes_late_grants),
    "credits are spent without a lease": (CoherentCache, "holds_lease", _keeps_any_lease),
    "a refusal is taken of a call sent before the request": (
        WorkspaceCredits,
        "answered",
        _refuses_late_comers,
    ),
    "an error is taken for a refusal": (Settling, "_failed", _refuses_at_failures),
    "an end counts before it is on the disk": (Ends, "_write", _frees_before_it_is_written),
    "slices of the dead are closed before they are charged": (
        Backlog,
        "_bring",
        _closes_before_charging,
    ),
    "what goes beyond a hold is free": (Spending, "charge", _charges_no_more_than_was_held),
    "a hold without an end is free": (ModelSpool, "adopt", _adopts_no_open_holds),
    "a confirmation counts in every epoch": (ModelSpool, "unconfirmed", _forgets_older_epochs),
    "a repeated call grants again": (slices, "answered", _grants_again),
    "what others hold is granted": (slices, "grant", _grants_what_others_hold),
    "what others hold is said to be gone": (slices, "grant", _says_out_for_busy),
    "a charge is entered each time it comes": (Charging, "entry_of", _enters_twice),
    "an export is entered under new names": (
        replaying._Continuation,
        "_enter",
        _enters_under_new_names,
    ),
    "a reduction tells no verifier": (crediting, "state", _announces_no_reduction),
    "a reduction waits for nobody": (Authority, "wait", _waits_for_nobody),
}
"""By what goes wrong: where, which name, and what takes its place."""


@contextmanager
def seeded(bug: str) -> Iterator[None]:
    """The shipped code, with this bug."""
    where, name, instead = BUGS[bug]
    with patch.object(where, name, instead):
        yield
