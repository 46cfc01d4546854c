"""The records of a spool: JSON arrays, each beginning with its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from keyauthority.client.spending.frames import frame, payload_of
from keyauthority.escrow.slices import SliceKey

VERSION: Final = 1
"""The version of the format that is written, and the newest that is read."""

# The lists below can't contain themselves; to look for that takes a third of the time.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# Holds and charges, two for each request, are put together from texts: a third of the time of lists.
# Most texts come again.
_quoted: Final = json.encoder.encode_basestring_ascii
_encode_again: Final = lru_cache(1024)(_quoted)


class SpoolError(Exception):
    """The disk, or what lies on it, does not let the spool do its work. The text says why."""


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class SpooledCharge:
    """What a request cost, or what was held for it if its end is not known. It is never changed.

    `parts` is the hold, the oldest slice first. Amounts are nano-credits.
    """

    reference: str
    workspace_id: str
    cost: int
    parts: Mapping[SliceKey, int]
    key_id: str
    model: str
    path: str
    request_id: str
    counts: Mapping[str, int]
    price_id: str
    estimated: bool
    status: int


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


def held(
    time: int,
    reference: str,
    workspace_id: str,
    parts: Mapping[SliceKey, int],
    key_id: str,
    model: str,
    path: str,
    request_id: str,
    price_id: str,
) -> bytes:
    """Returns the frame of a `Held`."""
    fields = _fields(reference, workspace_id, parts, key_id, model, path, request_id, price_id)
    return frame(f'["hold",{time},{fields}]')


def extended(hold: bytes, parts: Mapping[SliceKey, int]) -> bytes:
    """Returns the frame of the same `Held` with other parts."""
    row = json.loads(payload_of(hold))
    row[4] = _listed(parts)
    return frame(_encode(row))


def voided(reference: str) -> bytes:
    """Returns the frame of a `Voided`."""
    return frame(_encode(["void", reference]))


def charged(time: int, charge: SpooledCharge) -> bytes:
    """Returns the frame of a `Charged`, which says all of the charge, whatever becomes of the hold."""
    fields = _fields(
        charge.reference,
        charge.workspace_id,
        charge.parts,
        charge.key_id,
        charge.model,
        charge.path,
        charge.request_id,
        charge.price_id,
    )
    counts = ",".join([f"{_encode_again(name)}:{count}" for name, count in charge.counts.items()])
    estimated = "true" if charge.estimated else "false"
    end = f"{charge.cost},{{{counts}}},{estimated},{charge.status}"
    return frame(f'["charge",{time},{fields},{end}]')


def confirmed(epoch: int, references: Iterable[str]) -> bytes:
    """Returns the frame of a `Confirmed`."""
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
        workspace_id,
        sum(by_slice.values()) if cost is None else cost,
        by_slice,
        key_id,
        model,
        path,
        request_id,
        counts or {},
        price_id,
        estimated,
        status,
    )


def _fields(
    reference: str,
    workspace_id: str,
    parts: Mapping[SliceKey, int],
    key_id: str,
    model: str,
    path: str,
    request_id: str,
    price_id: str,
) -> str:
    again = _encode_again
    listed = ",".join(
        [f"[{again(session)},{number},{amount}]" for (session, number), amount in parts.items()]
    )
    return (
        f"{_quoted(reference)},{again(workspace_id)},[{listed}],{again(key_id)},{again(model)},"
        f"{again(path)},{_quoted(request_id)},{again(price_id)}"
    )


def _listed(parts: Mapping[SliceKey, int]) -> list[list[str | int]]:
    return [[session, number, amount] for (session, number), amount in parts.items()]


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
