"""Retry-safe requests (AIP-155): a repeated request gets the first answer, secret included."""

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
"""How long a sealed answer is stored."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What identifies a repeated request: the caller's id for it, and a hash of its content.

    A call without a `request_id` is never a repeat.
    """

    request_id: str
    fingerprint: bytes


class Answers:
    """The stored answer to one request.

    The requests of a caller that acts for people are separate for each person: nobody receives a
    secret that another person requested.
    """

    def __init__(self, tx: Transaction, keyring: Keyring, actor: Actor, retry: Retry) -> None:
        self._tx = tx
        self._keyring = keyring
        person = actor.person
        # No id has a space in it, so the two forms differ.
        self._requester = f"{actor.caller.id} {person.id}" if person else actor.caller.id
        self._retry = retry
        self._context = f"replay {self._requester} {retry.request_id}".encode()

    async def recall(self) -> bytes | None:
        """Returns the first answer to the request; None if the request is new.

        Raises `KeyAuthorityError`: `REQUEST_ID_REUSED` if another request had the id, or
        `FIELD_INVALID`.
        """
        if not limits.request_id(self._retry.request_id):
            return None
        replay = await self._tx.replays.get(self._requester, self._retry.request_id)
        if replay is None or replay.expire_time <= self._tx.time:
            return None
        if not hmac.compare_digest(replay.fingerprint, self._retry.fingerprint):
            raise KeyAuthorityError(
                Reason.REQUEST_ID_REUSED,
                "the request_id was used for a different request within the last 10 minutes",
                request_id=self._retry.request_id,
            )
        answer = self._keyring.unseal(replay.sealed, self._context)
        if answer is None:
            raise KeyAuthorityError(Reason.KEYRING_MISMATCH, "a kept answer can't be unsealed")
        return answer

    async def keep(self, answer: bytes) -> None:
        """Stores *answer* for ten minutes, if the request has an id."""
        if not self._retry.request_id:
            return
        version = active(await self._tx.peppers.all()).version
        await self._tx.replays.put(
            Replay(
                self._requester,
                self._retry.request_id,
                self._retry.fingerprint,
                self._keyring.seal(version, answer, self._context),
                self._tx.time + KEPT_FOR,
            )
        )
