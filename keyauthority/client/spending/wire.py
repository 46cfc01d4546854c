"""Charges as they stand in a call: the contract's `Charge`, encoded by hand.

A message object with all of its fields costs more than all else that is done for a request. Here bytes
are letters of Latin-1, of which texts are put together faster, and what many charges have in common is
remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from keyauthority.client.spending.records import SpooledCharge

# A field begins with its number and the kind of its value: a varint, or a length and so many bytes.
_VARINT: Final = 0
_BYTES: Final = 2

_LONGEST_VARINT: Final = 10
_ALL: Final = (1 << 64) - 1
_SEVEN: Final = 0x7F
_MARK: Final = 0x80


def _tag(number: int, kind: int) -> str:
    return chr(number << 3 | kind)


_IN_REQUEST: Final = _tag(2, _BYTES)
"""Of `SettleRequest.charges`."""

_REFERENCE: Final = _tag(1, _BYTES)
_WORKSPACE: Final = _tag(2, _BYTES)
_COST: Final = _tag(3, _VARINT)
_HOLDS: Final = _tag(4, _BYTES)
_KEY: Final = _tag(5, _BYTES)
_MODEL: Final = _tag(6, _BYTES)
_PATH: Final = _tag(7, _BYTES)
_REQUEST: Final = _tag(8, _BYTES)
_COUNTS: Final = _tag(9, _BYTES)
_PRICE: Final = _tag(10, _BYTES)
_ESTIMATED: Final = _tag(11, _VARINT)
_STATUS: Final = _tag(12, _VARINT)

_SESSION: Final = _tag(1, _BYTES)
_NUMBER: Final = _tag(2, _VARINT)
_AMOUNT: Final = _tag(3, _VARINT)

_NAME: Final = _tag(1, _BYTES)
_COUNT: Final = _tag(2, _VARINT)


def in_request(charges: Iterable[SpooledCharge]) -> bytes:
    """Returns *charges* as those of a `SettleRequest`, whose encoded parts are joined in any order.

    Raises `ValueError` if a number has more than 64 bits, or a text is none.
    """
    encoded: list[str] = []
    for one in charges:
        reference, request_id = one.reference, one.request_id
        if not (reference.isascii() and request_id.isascii()):
            reference, request_id = _letters(reference), _letters(request_id)
        ended = _end(one.estimated, one.status)
        for key, amount in one.parts.items():
            number = varint(amount)
            ended = f"{ended}{_slice(*key)[len(number)]}{number}"
        for name, count in one.counts.items():
            number = varint(count)
            ended = f"{ended}{_class(name)[len(number)]}{number}"
        common = _common(one.workspace_id, one.key_id, one.model, one.path, one.price_id)
        content = (
            f"{common}{_REFERENCE}{varint(len(reference))}{reference}"
            f"{_REQUEST}{varint(len(request_id))}{request_id}{_COST}{varint(one.cost)}{ended}"
        )
        encoded.append(f"{_IN_REQUEST}{varint(len(content))}{content}")
    return "".join(encoded).encode("latin-1")


# Lengths, counts, and what is held for requests like those before.
@lru_cache(4096)
def varint(value: int) -> str:
    """Returns an `int64` as the wire has it: seven bits a byte, the lowest first, each but the last marked."""
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value} has more than 64 bits")
    left = value & _ALL
    encoded = ""
    while left >= _MARK:
        encoded += chr(left & _SEVEN | _MARK)
        left >>= 7
    return encoded + chr(left)


@lru_cache(1024)
def _common(workspace_id: str, key_id: str, model: str, path: str, price_id: str) -> str:
    return "".join(
        [
            _text(_WORKSPACE, workspace_id),
            _text(_KEY, key_id),
            _text(_MODEL, model),
            _text(_PATH, path),
            _text(_PRICE, price_id),
        ]
    )


@lru_cache(1024)
def _slice(session_id: str, number: int) -> list[str]:
    return _before(_HOLDS, f"{_text(_SESSION, session_id)}{_NUMBER}{varint(number)}{_AMOUNT}")


@lru_cache(128)
def _class(name: str) -> list[str]:
    return _before(_COUNTS, f"{_text(_NAME, name)}{_COUNT}")


@lru_cache(128)
def _end(estimated: bool, status: int) -> str:
    return (f"{_ESTIMATED}\x01" if estimated else "") + (
        f"{_STATUS}{varint(status)}" if status else ""
    )


def _before(tag: str, beginning: str) -> list[str]:
    # Of a message that ends in a number: by the length of that.
    size = len(beginning)
    return [f"{tag}{varint(size + more)}{beginning}" for more in range(_LONGEST_VARINT + 1)]


def _text(tag: str, text: str) -> str:
    letters = _letters(text)
    return f"{tag}{varint(len(letters))}{letters}"


def _letters(text: str) -> str:
    return text if text.isascii() else text.encode().decode("latin-1")
