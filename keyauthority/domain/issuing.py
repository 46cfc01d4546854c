"""Issuing keys and giving them new secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid, workspace_not_found
from keyauthority.domain.facts import Action, Fact, length
from keyauthority.domain.finding import changeable_key, with_last_use
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeySettings, StoredSecret
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.peppers import active
from keyauthority.domain.ports import Keyring
from keyauthority.domain.replays import Answers, Retry
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt

Encode = Callable[[Key, datetime, Secret], bytes]
"""Puts a key as it is at a moment, and its new secret, into the answer for the caller."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What key to issue. It expires `ttl` from now, if that is set, or as its settings say."""

    workspace_id: str
    settings: KeySettings
    ttl: timedelta | None = None

    def checked(self, now: datetime) -> NewKey:
        """The same with its expiry as a moment; raises `FIELD_INVALID` for what breaks a limit."""
        settings = self.settings
        if self.ttl is not None:
            if not timedelta() < self.ttl <= limits.LIFETIME:
                raise invalid("ttl", "is not between nothing and 10 years")
            settings = replace(settings, expire_time=now + self.ttl)
        settings.check(KEY_SETTINGS, now)
        return NewKey(self.workspace_id, settings)

    def key(self, key_id: str, secret: StoredSecret) -> Key:
        """The key, once this is checked, with its first *secret*, by whose creator it is."""
        return Key(
            id=key_id,
            workspace_id=self.workspace_id,
            settings=self.settings,
            create_time=secret.create_time,
            update_time=secret.create_time,
            revocation=None,
            version=1,
            secrets=(secret,),
            creator_id=secret.creator.id,
            creator_name=secret.creator.name,
        )


async def check_workspace(tx: Transaction, actor: Actor, workspace_id: str) -> None:
    """Raises `WORKSPACE_NOT_FOUND` or `WORKSPACE_SUSPENDED` if *actor* can't add a key to it."""
    workspace = await tx.workspaces.get(workspace_id)
    if workspace is None or not actor.caller.may_touch(workspace.id):
        raise workspace_not_found(workspace_id)
    if workspace.suspended:
        raise KeyAuthorityError(
            Reason.WORKSPACE_SUSPENDED,
            "the workspace is suspended: no key can be issued in it",
            workspace_id=workspace.id,
        )


class Issuing:
    """Mints secrets. The only place where one exists in full, and only until it is answered."""

    def __init__(self, books: Books, keyring: Keyring, last_used: LastUsed) -> None:
        self._books = books
        self._keyring = keyring
        self._last_used = last_used

    async def issue(self, actor: Actor, new: NewKey, retry: Retry, encode: Encode) -> bytes:
        """Issues a key and returns its answer; a repeat of the request gets the first answer.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `WORKSPACE_SUSPENDED`,
        `REQUEST_ID_REUSED`.
        """

        async def work(change: Change) -> bytes:
            tx = change.tx
            answers = Answers(tx, self._keyring, actor, retry)
            if (kept := await answers.recall()) is not None:
                return kept
            key, secret = await self._new_key(tx, actor, new.checked(tx.time))
            await tx.keys.insert(key)
            change.records(
                Fact(Action.KEY_ISSUED, {"name": key.settings.name}), key.id, key.workspace_id
            )
            answer = encode(key, tx.time, secret)
            await answers.keep(answer)
            return answer

        return await self._books.record(actor, work)

    async def rotate(
        self, actor: Actor, key_id: str, overlap: timedelta, retry: Retry, encode: Encode
    ) -> tuple[bytes, Receipt]:
        """Gives a key a new secret; the one it had ends after *overlap*, an older one at once.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`, `KEY_REVOKED`,
        `REQUEST_ID_REUSED`.
        """
        limits.overlap(overlap)

        async def work(change: Change) -> bytes:
            tx = change.tx
            answers = Answers(tx, self._keyring, actor, retry)
            if (kept := await answers.recall()) is not None:
                return kept
            before = await changeable_key(tx, actor, key_id)
            secret, stored = await self._mint(tx, actor, key_id)
            after = before.rotated(tx.time, stored, tx.time + overlap)
            await tx.keys.update([(before, after)])
            fact = Fact(Action.KEY_ROTATED, {"overlap": length(overlap)})
            change.alters(key_id, after.workspace_id, fact)
            [shown] = await with_last_use(tx, self._last_used, [after])
            answer = encode(shown, tx.time, secret)
            await answers.keep(answer)
            return answer

        return await self._books.change(actor, work)

    async def _new_key(self, tx: Transaction, actor: Actor, new: NewKey) -> tuple[Key, Secret]:
        await check_workspace(tx, actor, new.workspace_id)
        key_id = secrets.new_id("key")
        secret, stored = await self._mint(tx, actor, key_id)
        return new.key(key_id, stored), secret

    async def _mint(
        self, tx: Transaction, actor: Actor, key_id: str
    ) -> tuple[Secret, StoredSecret]:
        version = active(await tx.peppers.all()).version
        secret = secrets.mint(key_id)
        digest = self._keyring.digest(version, key_id, secret.reveal())
        stored = StoredSecret(digest, version, secret.hint, tx.time, creator=actor.who)
        return secret, stored
