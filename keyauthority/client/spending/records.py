"""The records of a spool: JSON arrays, each beginning with its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from keyauthority.client.spending.frames import frame
from keyauthority.escrow.purse import Charge
from keyauthority.escrow.slices import SliceKey

VERSION: Final = 1
"""The version of the format that is written, and the newest that is read."""

# The lists below can't contain themselves; to look for that takes a third of the time.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# Holds and charges, two for each request, are put together from texts: a third of the time of lists.
_quoted: Final = json.encoder.encode_basestring_ascii


class SpoolError(Exception):
    """The disk, or what lies on it, does not let the spool do its work. The text says why."""


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class SpooledCharge(Charge):
    """What a request cost; until it ends, what is held for it, as it is charged if no end follows.

    Amounts are nano-credits. One object serves all who have to do with the charge, from the hold until
    the authority has it. `frame` and what follows are the spool's: the record of it on the disk, when
    that was written, in seconds, and the number up to which the spool has to be synced for it.
    """

    workspace_id: str
    key_id: str
    model: str
    path: str
    request_id: str
    price_id: str
    counts: Mapping[str, int]
    estimated: bool = True
    status: int = 0
    frame: bytes = field(default=b"", compare=False, repr=False)
    time: int = field(default=0, compare=False, repr=False)
    number: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Begun:
    """The first record of a segment.

    `epoch` is the one in which all is confirmed that ended in earlier segments and is not carried
    over to this one; None while nothing is. `boot` tells the starts of the machine apart.
    """

    version: int
    time: int
    boot: str
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Carried:
    """So many records before it say all that is open or unconfirmed in earlier segments."""

    count: int


@dataclass(frozen=True, slots=True)
class Held:
    """What is held for a request from now on, as the charge it becomes if no end follows."""

    time: int
    charge: SpooledCharge


@dataclass(frozen=True, slots=True)
class Voided:
    """The end of a hold whose request was not sent, or was refused by the upstream."""

    reference: str


@dataclass(frozen=True, slots=True)
class Charged:
    """The end of a hold whose request cost something."""

    time: int
    charge: SpooledCharge


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The authority has these charges, in this epoch or a later one."""

    epoch: int
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """All that ended before and is not unconfirmed is confirmed in this epoch or a later one."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The process has left in order."""


Record = Begun | Carried | Held | Voided | Charged | Confirmed | Whole | Closed


def begun(time: int, boot: str, epoch: int | None) -> bytes:
    """Returns the frame of a `Begun` of this version."""
    return frame(_encode(["spool", VERSION, time, boot, epoch]))


def carried(count: int) -> bytes:
    """Returns the frame of a `Carried`."""
    return frame(_encode(["carried", count]))


def fields(charge: SpooledCharge) -> str:
    """Returns what a `Held` and the `Charged` after it say alike, each in a record of its own."""
    workspace, request, price = _texts(
        charge.workspace_id, charge.key_id, charge.model, charge.path, charge.price_id
    )
    listed = ""
    for key, amount in charge.parts.items():
        listed = f"{listed},{_slice(*key)}{amount}]" if listed else f"{_slice(*key)}{amount}]"
    reference = charge.reference
    # Those of this process need no quoting.
    is_plain = reference.isalnum() and reference.isascii()
    quoted = f'"{reference}"' if is_plain else _quoted(reference)
    return f"{quoted},{workspace}{listed}{request}{_quoted(charge.request_id)}{price}"


def extended(fields: str, parts: Mapping[SliceKey, int]) -> str:
    """Returns the same *fields* with other parts."""
    row = json.loads(f"[{fields}]")
    row[2] = [[session, number, amount] for (session, number), amount in parts.items()]
    return _encode(row)[1:-1]


def held(time: int, fields: str) -> bytes:
    """Returns the frame of a `Held`."""
    return frame(f'["hold",{time},{fields}]')


def voided(reference: str) -> bytes:
    """Returns the frame of a `Voided`."""
    return frame(_encode(["void", reference]))


def charged(time: int, fields: str, charge: SpooledCharge) -> bytes:
    """Returns the frame of a `Charged`: by the *fields* of the charge, and how it ended."""
    counts = ""
    for name, count in charge.counts.items():
        counts = f"{counts},{_name(name)}{count}" if counts else f"{_name(name)}{count}"
    estimated = "true" if charge.estimated else "false"
    return frame(
        f'["charge",{time},{fields},{charge.cost},{{{counts}}},{estimated},{charge.status}]'
    )


def confirmed(epoch: int, references: Sequence[str]) -> bytes:
    """Returns the frame of a `Confirmed`."""
    letters = "".join(references)
    if letters.isalnum() and letters.isascii():
        # As those of this process are: many come at a time.
        listed = '","'.join(references)
        return frame(f'["confirmed",{epoch},"{listed}"]')
    return frame(_encode(["confirmed", epoch, *references]))


def whole(epoch: int) -> bytes:
    """Returns the frame of a `Whole`."""
    return frame(_encode(["whole", epoch]))


def closed() -> bytes:
    """Returns the frame of a `Closed`."""
    return frame(_encode(["closed"]))


def decoded(payload: bytes) -> Record:
    """Returns the record in *payload*; raises `ValueError` if that is none."""
    try:
        kind, *fields = json.loads(payload)
        return _KINDS[kind](*fields)
    except (TypeError, LookupError) as error:
        raise ValueError(f"no record: {error}") from error


def _begun(version: int, *fields: Any) -> Begun:
    # Every version begins its segments with this record, in such a frame; what else it says is its own.
    return Begun(version, *fields) if version <= VERSION else Begun(version, 0, "", None)


def _charge(
    reference: str,
    workspace_id: str,
    parts: list[list[Any]],
    key_id: str,
    model: str,
    path: str,
    request_id: str,
    price_id: str,
    cost: int | None = None,
    counts: Mapping[str, int] | None = None,
    estimated: bool = True,
    status: int = 0,
) -> SpooledCharge:
    by_slice = {(session, number): amount for session, number, amount in parts}
    return SpooledCharge(
        reference,
        sum(by_slice.values()) if cost is None else cost,
        by_slice,
        workspace_id,
        key_id,
        model,
        path,
        request_id,
        price_id,
        counts or {},
        estimated,
        status,
    )


# Most of it is the same for many requests.
@lru_cache(1024)
def _texts(
    workspace_id: str, key_id: str, model: str, path: str, price_id: str
) -> tuple[str, str, str]:
    return (
        f"{_quoted(workspace_id)},[",
        f"],{_quoted(key_id)},{_quoted(model)},{_quoted(path)},",
        f",{_quoted(price_id)}",
    )


@lru_cache(128)
def _name(name: str) -> str:
    return f"{_quoted(name)}:"


@lru_cache(1024)
def _slice(session: str, number: int) -> str:
    return f"[{_quoted(session)},{number},"


_KINDS: Final[dict[str, Callable[..., Record]]] = {
    "spool": _begun,
    "carried": Carried,
    "hold": lambda time, *fields: Held(time, _charge(*fields)),
    "charge": lambda time, *fields: Charged(time, _charge(*fields)),
    "void": Voided,
    "confirmed": lambda epoch, *references: Confirmed(epoch, references),
    "whole": Whole,
    "closed": Closed,
}
