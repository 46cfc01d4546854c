"""KeyService."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from keyauthority.domain.callers import Actor
from keyauthority.domain.finding import Finding
from keyauthority.domain.importing import Importing
from keyauthority.domain.issuing import Issuing
from keyauthority.domain.keys import Key
from keyauthority.domain.replays import Retry
from keyauthority.domain.revoking import Revoking
from keyauthority.domain.secrets import Secret
from keyauthority.domain.updating import Updating
from keyauthority.rpc import convert
from keyauthority.rpc.pages import by_create_time
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import key_service_pb2 as v1


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
        return await self._issuing.issue(actor, convert.new_key(request), _retry(request), _issued)

    async def GetKey(self, request: v1.GetKeyRequest, actor: Actor) -> v1.GetKeyResponse:
        key = await self._finding.get(actor, request.key_id)
        return v1.GetKeyResponse(key=convert.key(key, self._clock.now()))

    async def BatchGetKeys(
        self, request: v1.BatchGetKeysRequest, actor: Actor
    ) -> v1.BatchGetKeysResponse:
        keys = await self._finding.get_all(actor, request.key_ids)
        now = self._clock.now()
        return v1.BatchGetKeysResponse(keys=[convert.key(key, now) for key in keys])

    async def ListKeys(self, request: v1.ListKeysRequest, actor: Actor) -> v1.ListKeysResponse:
        page = self._pages.asked(request, actor)
        found = await self._finding.page(
            actor,
            request.workspace_id,
            convert.state_of(request.state),
            request.name_contains,
            page.limit,
            page.cursor,
            creator_id=request.creator_id,
            secret_creator_id=request.secret_creator_id,
        )
        shown, token = self._pages.cut(page, found, by_create_time)
        now = self._clock.now()
        return v1.ListKeysResponse(
            keys=[convert.key(key, now) for key in shown], next_page_token=token
        )

    async def UpdateKey(self, request: v1.UpdateKeyRequest, actor: Actor) -> v1.UpdateKeyResponse:
        key, receipt = await self._updating.update(
            actor, request.key.id, convert.key_update(request), request.key.etag
        )
        return v1.UpdateKeyResponse(
            key=convert.key(key, self._clock.now()), receipt=convert.receipt(receipt)
        )

    async def RotateKey(self, request: v1.RotateKeyRequest, actor: Actor) -> v1.RotateKeyResponse:
        overlap = convert.length_of(request, "overlap") or timedelta()
        answer, receipt = await self._issuing.rotate(
            actor, request.key_id, overlap, _retry(request), _rotated
        )
        response = v1.RotateKeyResponse.FromString(answer)
        response.receipt.CopyFrom(convert.receipt(receipt))
        return response

    async def RevokeKey(self, request: v1.RevokeKeyRequest, actor: Actor) -> v1.RevokeKeyResponse:
        [key], receipt = await self._revoking.revoke(
            actor, [request.key_id], convert.reason_of(request.reason), request.note
        )
        return v1.RevokeKeyResponse(
            key=convert.key(key, self._clock.now()), receipt=convert.receipt(receipt)
        )

    async def RevokeKeys(
        self, request: v1.RevokeKeysRequest, actor: Actor
    ) -> v1.RevokeKeysResponse:
        keys, receipt = await self._revoking.revoke(
            actor, request.key_ids, convert.reason_of(request.reason), request.note
        )
        now = self._clock.now()
        return v1.RevokeKeysResponse(
            keys=[convert.key(key, now) for key in keys], receipt=convert.receipt(receipt)
        )

    async def LookupKey(self, request: v1.LookupKeyRequest, actor: Actor) -> v1.LookupKeyResponse:
        key = await self._finding.lookup(actor, request.secret)
        return v1.LookupKeyResponse(key=convert.key(key, self._clock.now()))

    async def ImportKeys(
        self, request: v1.ImportKeysRequest, actor: Actor
    ) -> v1.ImportKeysResponse:
        keys, receipt = await self._importing.import_keys(
            actor, request.workspace_id, convert.imported_keys(request)
        )
        now = self._clock.now()
        return v1.ImportKeysResponse(
            keys=[convert.key(key, now) for key in keys], receipt=convert.receipt(receipt)
        )


def _retry(request: v1.IssueKeyRequest | v1.RotateKeyRequest) -> Retry:
    body = request.SerializeToString(deterministic=True)
    named = type(request).__name__.encode() + b"\0" + body
    return Retry(request.request_id, hashlib.sha256(named).digest())


def _issued(key: Key, now: datetime, secret: Secret) -> bytes:
    response = v1.IssueKeyResponse(key=convert.key(key, now), secret=secret.reveal())
    return response.SerializeToString()


def _rotated(key: Key, now: datetime, secret: Secret) -> bytes:
    response = v1.RotateKeyResponse(key=convert.key(key, now), secret=secret.reveal())
    return response.SerializeToString()
