"""Retry-safe requests (AIP-155): the same request again gets the same answer, secret included."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyauthority.domain import limits
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.peppers import active
from keyauthority.domain.ports import Keyring
from keyauthority.domain.repositories import Replay, Transaction

KEPT_FOR: Final = timedelta(minutes=10)
"""How long an answer is kept, sealed; then it is destroyed."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What makes a repeat recognisable: the caller's id for the request, and a hash of all of it.

    Without a `request_id` every call is a request of its own.
    """

    request_id: str
    fingerprint: bytes


class Answers:
    """Keeps the answers of one caller's request, so that a repeat is given the first one again.

    A caller that acts for people has requests of its own for each of them: nobody is given the
    secret that another one asked for.
    """

    def __init__(self, tx: Transaction, keyring: Keyring, actor: Actor, retry: Retry) -> None:
        self._tx = tx
        self._keyring = keyring
        self._asker = _asker(actor)
        self._retry = retry
        self._context = f"replay {self._asker} {retry.request_id}".encode()

    async def recall(self) -> bytes | None:
        """The answer the request was given before, if it was.

        Raises `KeyAuthorityError` with `REQUEST_ID_REUSED` if its id was used for another one, and
        with `FIELD_INVALID` for an id that is none.
        """
        if not limits.request_id(self._retry.request_id):
            return None
        kept = await self._tx.replays.get(self._asker, self._retry.request_id)
        if kept is None or kept.expire_time <= self._tx.time:
            return None
        if not hmac.compare_digest(kept.fingerprint, self._retry.fingerprint):
            raise KeyAuthorityError(
                Reason.REQUEST_ID_REUSED,
                "the request_id was used for a different request within the last 10 minutes",
                request_id=self._retry.request_id,
            )
        answer = self._keyring.unseal(kept.sealed, self._context)
        if answer is None:
            raise KeyAuthorityError(Reason.KEYRING_MISMATCH, "a kept answer can't be unsealed")
        return answer

    async def keep(self, answer: bytes) -> None:
        """Keeps *answer* for ten minutes, if the request has an id."""
        if not self._retry.request_id:
            return
        version = active(await self._tx.peppers.all()).version
        await self._tx.replays.put(
            Replay(
                self._asker,
                self._retry.request_id,
                self._retry.fingerprint,
                self._keyring.seal(version, answer, self._context),
                self._tx.time + KEPT_FOR,
            )
        )


def _asker(actor: Actor) -> str:
    # No id has a space in it, so no two askers are written alike.
    return f"{actor.caller.id} {actor.person.id}" if actor.person else actor.caller.id
