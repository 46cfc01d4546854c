"""Issuing keys and giving them new secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact, length
from keyauthority.domain.finding import changeable_key, visible_workspace, with_last_use
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeySettings, StoredSecret
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.peppers import active
from keyauthority.domain.ports import Keyring
from keyauthority.domain.replays import Answers, Retry
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt

Encode = Callable[[Key, datetime, Secret], bytes]
"""Encodes the answer: a key with its state at a moment, and its new secret."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to issue. A `ttl` counts from now and replaces the expiry in the settings."""

    workspace_id: str
    settings: KeySettings
    ttl: timedelta | None = None

    def checked(self, now: datetime) -> NewKey:
        """Returns the same with its expiry as a moment; raises `FIELD_INVALID`."""
        settings = self.settings
        if self.ttl is not None:
            settings = replace(settings, expire_time=now + limits.lifetime(self.ttl))
        settings.check(KEY_SETTINGS, now)
        return NewKey(self.workspace_id, settings)

    def key(self, key_id: str, secret: StoredSecret) -> Key:
        """Returns the key of a `checked` entry, created by the creator of its first *secret*."""
        return Key(
            id=key_id,
            workspace_id=self.workspace_id,
            settings=self.settings,
            create_time=secret.create_time,
            update_time=secret.create_time,
            revocation=None,
            version=1,
            secrets=(secret,),
            creator=secret.creator,
        )


async def check_workspace(tx: Transaction, actor: Actor, workspace_id: str) -> None:
    """Raises `WORKSPACE_NOT_FOUND` or `WORKSPACE_SUSPENDED` if *actor* can't add keys."""
    workspace = await visible_workspace(tx, actor, workspace_id)
    if workspace.suspended:
        raise KeyAuthorityError(
            Reason.WORKSPACE_SUSPENDED,
            "the workspace is suspended: no key can be issued in it",
            workspace_id=workspace.id,
        )


class Issuing:
    """Mints secrets. Only here, and only until the answer, does a secret exist in full."""

    def __init__(self, books: Books, keyring: Keyring, last_used: LastUsed) -> None:
        self._books = books
        self._keyring = keyring
        self._last_used = last_used

    async def issue(self, actor: Actor, new: NewKey, retry: Retry, encode: Encode) -> bytes:
        """Issues a key and returns the answer; a repeated request gets the first answer.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `WORKSPACE_SUSPENDED`,
        `REQUEST_ID_REUSED`.
        """

        async def work(change: Change) -> bytes:
            tx = change.tx
            answers = Answers(tx, self._keyring, actor, retry)
            if (answer := await answers.recall()) is not None:
                return answer
            checked = new.checked(tx.time)
            await check_workspace(tx, actor, new.workspace_id)
            key_id = secrets.new_id("key")
            secret, stored = await self._mint(tx, actor, key_id)
            key = checked.key(key_id, stored)
            await tx.keys.insert(key)
            fact = Fact(Action.KEY_ISSUED, {"name": key.settings.name})
            change.records(fact, key_id, key.workspace_id)
            answer = encode(key, tx.time, secret)
            await answers.keep(answer)
            return answer

        return await self._books.record(actor, work)

    async def rotate(
        self, actor: Actor, key_id: str, overlap: timedelta, retry: Retry, encode: Encode
    ) -> tuple[bytes, Receipt]:
        """Gives a key a new secret; the last one ends after *overlap*, older ones at once.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`, `KEY_REVOKED`,
        `REQUEST_ID_REUSED`.
        """
        limits.overlap(overlap)

        async def work(change: Change) -> bytes:
            tx = change.tx
            answers = Answers(tx, self._keyring, actor, retry)
            if (answer := await answers.recall()) is not None:
                return answer
            before = await changeable_key(tx, actor, key_id)
            secret, stored = await self._mint(tx, actor, key_id)
            after = before.rotated(tx.time, stored, tx.time + overlap)
            await tx.keys.update([(before, after)])
            fact = Fact(Action.KEY_ROTATED, {"overlap": length(overlap)})
            change.alters(key_id, after.workspace_id, fact)
            [key] = await with_last_use(tx, self._last_used, [after])
            answer = encode(key, tx.time, secret)
            await answers.keep(answer)
            return answer

        return await self._books.change(actor, work)

    async def _mint(
        self, tx: Transaction, actor: Actor, key_id: str
    ) -> tuple[Secret, StoredSecret]:
        version = active(await tx.peppers.all()).version
        secret = secrets.mint(key_id)
        digest = self._keyring.digest(version, key_id, secret.reveal())
        stored = StoredSecret(digest, version, secret.hint, tx.time, creator=actor.who)
        return secret, stored
