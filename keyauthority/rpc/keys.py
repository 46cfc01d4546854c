"""KeyService."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import in_entry
from keyauthority.domain.etags import etag
from keyauthority.domain.finding import Finding
from keyauthority.domain.importing import ImportedKey, Importing
from keyauthority.domain.issuing import Issuing, NewKey
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeyState, RevocationReason, StoredSecret
from keyauthority.domain.replays import Retry
from keyauthority.domain.repositories import KeyFilter
from keyauthority.domain.revoking import Revoking
from keyauthority.domain.secrets import Secret
from keyauthority.domain.updating import KeyUpdate, Updating
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import key_pb2
from keyauthority.v1 import key_service_pb2 as v1
from keyauthority.v1.key_settings import settings_of, write
from keyauthority.v1.wire import timestamp


class KeyServicer:
    """Serves those who administer keys."""

    def __init__(self, parts: Parts) -> None:
        self._issuing = Issuing(parts.books, parts.keyring, parts.last_used)
        self._finding = Finding(parts.books, parts.store, parts.keyring, parts.last_used)
        self._updating = Updating(parts.books, parts.last_used)
        self._revoking = Revoking(parts.books, parts.last_used)
        self._importing = Importing(parts.books, parts.keyring)
        self._pages = parts.pages
        self._clock = parts.clock

    async def IssueKey(self, request: v1.IssueKeyRequest, actor: Actor) -> bytes:
        new = NewKey(
            request.workspace_id,
            settings_of(request, convert.time_of),
            ttl=convert.length_of(request, "ttl"),
        )
        return await self._issuing.issue(
            actor, new, _retry(request), partial(_answer, v1.IssueKeyResponse)
        )

    async def GetKey(self, request: v1.GetKeyRequest, actor: Actor) -> v1.GetKeyResponse:
        return v1.GetKeyResponse(key=self._key(await self._finding.get(actor, request.key_id)))

    async def BatchGetKeys(
        self, request: v1.BatchGetKeysRequest, actor: Actor
    ) -> v1.BatchGetKeysResponse:
        keys = await self._finding.get_all(actor, request.key_ids)
        return v1.BatchGetKeysResponse(keys=self._keys(keys))

    async def ListKeys(self, request: v1.ListKeysRequest, actor: Actor) -> v1.ListKeysResponse:
        page = self._pages.of(request, actor)
        which = KeyFilter(
            (request.workspace_id,) if request.workspace_id else None,
            convert.member_of(KeyState, request.state, "state") if request.state else None,
            request.name_contains,
            request.creator_id,
            request.secret_creator_id,
        )
        records = await self._finding.page(actor, which, page.limit, page.cursor)
        keys, token = self._pages.cut(page, records)
        return v1.ListKeysResponse(keys=self._keys(keys), next_page_token=token)

    async def UpdateKey(self, request: v1.UpdateKeyRequest, actor: Actor) -> v1.UpdateKeyResponse:
        mask = convert.mask_of(request.update_mask, request.key, frozenset(KEY_SETTINGS))
        update = KeyUpdate(mask, settings_of(request.key, convert.time_of))
        key, receipt = await self._updating.update(actor, request.key.id, update, request.key.etag)
        return v1.UpdateKeyResponse(key=self._key(key), receipt=convert.receipt(receipt))

    async def RotateKey(self, request: v1.RotateKeyRequest, actor: Actor) -> bytes:
        overlap = convert.length_of(request, "overlap") or timedelta()
        answer, receipt = await self._issuing.rotate(
            actor, request.key_id, overlap, _retry(request), partial(_answer, v1.RotateKeyResponse)
        )
        # Serialised messages, one after the other, are one message with the fields of both.
        return answer + v1.RotateKeyResponse(receipt=convert.receipt(receipt)).SerializeToString()

    async def RevokeKey(self, request: v1.RevokeKeyRequest, actor: Actor) -> v1.RevokeKeyResponse:
        reason = convert.member_of(RevocationReason, request.reason, "reason")
        [key], receipt = await self._revoking.revoke(actor, [request.key_id], reason, request.note)
        return v1.RevokeKeyResponse(key=self._key(key), receipt=convert.receipt(receipt))

    async def RevokeKeys(
        self, request: v1.RevokeKeysRequest, actor: Actor
    ) -> v1.RevokeKeysResponse:
        reason = convert.member_of(RevocationReason, request.reason, "reason")
        keys, receipt = await self._revoking.revoke(actor, request.key_ids, reason, request.note)
        return v1.RevokeKeysResponse(keys=self._keys(keys), receipt=convert.receipt(receipt))

    async def LookupKey(self, request: v1.LookupKeyRequest, actor: Actor) -> v1.LookupKeyResponse:
        key = await self._finding.lookup(actor, request.secret)
        return v1.LookupKeyResponse(key=self._key(key))

    async def ImportKeys(
        self, request: v1.ImportKeysRequest, actor: Actor
    ) -> v1.ImportKeysResponse:
        imported = [
            _imported(request.workspace_id, index, entry)
            for index, entry in enumerate(request.keys)
        ]
        keys, receipt = await self._importing.import_keys(actor, request.workspace_id, imported)
        return v1.ImportKeysResponse(keys=self._keys(keys), receipt=convert.receipt(receipt))

    def _key(self, record: Key) -> key_pb2.Key:
        return _message(record, self._clock.now())

    def _keys(self, records: Iterable[Key]) -> list[key_pb2.Key]:
        now = self._clock.now()
        return [_message(record, now) for record in records]


def _retry(request: v1.IssueKeyRequest | v1.RotateKeyRequest) -> Retry:
    body = request.SerializeToString(deterministic=True)
    named = type(request).__name__.encode() + b"\0" + body
    return Retry(request.request_id, hashlib.sha256(named).digest())


def _answer(
    response: type[v1.IssueKeyResponse | v1.RotateKeyResponse],
    key: Key,
    now: datetime,
    secret: Secret,
) -> bytes:
    return response(key=_message(key, now), secret=secret.reveal()).SerializeToString()


def _imported(workspace_id: str, index: int, entry: v1.ImportedKey) -> ImportedKey:
    with in_entry("keys", index):
        new = NewKey(workspace_id, settings_of(entry, convert.time_of))
    return ImportedKey(Secret(entry.secret), new)


def _message(record: Key, now: datetime) -> key_pb2.Key:
    message = key_pb2.Key(
        id=record.id,
        workspace_id=record.workspace_id,
        state=convert.number_of(record.state(now)),
        secrets=[
            _secret_info(stored, record.last_used.get(stored.digest)) for stored in record.secrets
        ],
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=etag(record.id, record.version),
        last_used_time=timestamp(max(record.last_used.values(), default=None)),
        creator_id=record.creator.id,
        creator_name=record.creator.name,
    )
    write(record.settings, message)
    revocation = record.revocation
    if revocation is not None:
        message.revoke_time.FromDatetime(revocation.time)
        message.revocation_reason = convert.number_of(revocation.reason)
        message.revocation_note = revocation.note
        message.revoker_id = revocation.by.id
        message.revoker_name = revocation.by.name
    return message


def _secret_info(stored: StoredSecret, last_used: datetime | None) -> key_pb2.SecretInfo:
    return key_pb2.SecretInfo(
        hint=stored.hint,
        create_time=timestamp(stored.create_time),
        end_time=timestamp(stored.end_time),
        pepper_version=stored.pepper_version,
        last_used_time=timestamp(last_used),
        creator_id=stored.creator.id,
        creator_name=stored.creator.name,
    )
