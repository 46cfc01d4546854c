"""What a change's receipt says, in plain words."""

from __future__ import annotations

from console.views import Receipt
from keyauthority.client import admin

_SECOND = 1_000


def receipt(record: admin.Receipt, done: str = "Stopped") -> Receipt:
    """For instance "Stopped everywhere in 12 ms. 3 verifiers confirmed."."""
    milliseconds = round(record.waited.total_seconds() * _SECOND)
    confirmed, waited_out = record.sessions_acknowledged, record.leases_waited_out
    took = f"{milliseconds} ms" if milliseconds < _SECOND else f"{milliseconds / _SECOND:.1f} s"
    sentences = [f"{done} everywhere in {took}."]
    if confirmed:
        sentences.append(f"{_counted(confirmed, 'verifier')} confirmed.")
    if waited_out:
        them = "it has" if waited_out == 1 else "they have"
        sentences.append(
            f"{_counted(waited_out, 'verifier')} could not be reached, so we waited until "
            f"{them} to ask again before accepting anything."
        )
    return Receipt(" ".join(sentences), milliseconds, confirmed, waited_out)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
