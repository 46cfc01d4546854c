"""Calls of KeyService: issue, find, change and revoke keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.client.admin.records import (
    Changed,
    ImportedKey,
    IssuedKey,
    Key,
    RotatedKey,
)
from keyauthority.domain.keys import KeySettings, KeyState, RevocationReason
from keyauthority.domain.secrets import Secret
from keyauthority.v1 import key_service_pb2 as v1
from keyauthority.v1.key_settings import write
from keyauthority.v1.wire import duration


def issue(
    workspace_id: str,
    settings: KeySettings,
    *,
    ttl: timedelta | None = None,
    request_id: str = "",
) -> Call[IssuedKey]:
    """Issues a key, which expires as its settings say, or *ttl* from now.

    A repeat with the same *request_id* has the same answer for ten minutes.
    """
    request = v1.IssueKeyRequest(workspace_id=workspace_id, request_id=request_id)
    write(settings, request)
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    return call(
        request,
        v1.IssueKeyResponse,
        lambda reply: IssuedKey(reading.key(reply.key), Secret(reply.secret)),
    )


def get(key_id: str) -> Call[Key]:
    """Returns one key."""
    request = v1.GetKeyRequest(key_id=key_id)
    return call(request, v1.GetKeyResponse, lambda reply: reading.key(reply.key))


def get_all(key_ids: Sequence[str]) -> Call[tuple[Key, ...]]:
    """Returns up to 1,000 keys, in order, without those that the caller may not see."""
    request = v1.BatchGetKeysRequest(key_ids=key_ids)
    return call(request, v1.BatchGetKeysResponse, lambda reply: tuple(map(reading.key, reply.keys)))


def page(
    workspace_id: str = "",
    *,
    state: KeyState | None = None,
    name_contains: str = "",
    creator_id: str = "",
    secret_creator_id: str = "",
    size: int = 0,
    token: str = "",
) -> Call[Page[Key]]:
    """Returns a page of the keys that match, newest first; empty and None match everything."""
    request = v1.ListKeysRequest(
        workspace_id=workspace_id,
        state=_number(state),
        name_contains=name_contains,
        creator_id=creator_id,
        secret_creator_id=secret_creator_id,
        page_size=size,
        page_token=token,
    )
    return call(
        request,
        v1.ListKeysResponse,
        lambda reply: Page(tuple(map(reading.key, reply.keys)), reply.next_page_token),
    )


def update(
    key_id: str, settings: KeySettings, names: Iterable[str], *, etag: str = ""
) -> Call[Changed[Key]]:
    """Changes the settings called *names*; with an *etag* only if the key still has it."""
    request = v1.UpdateKeyRequest()
    request.key.id, request.key.etag = key_id, etag
    write(settings, request.key)
    request.update_mask.paths.extend(names)
    return call(request, v1.UpdateKeyResponse, _changed)


def rotate(
    key_id: str, overlap: timedelta = timedelta(), *, request_id: str = ""
) -> Call[RotatedKey]:
    """Gives the key a new secret. The old one goes on working for *overlap*."""
    request = v1.RotateKeyRequest(key_id=key_id, overlap=duration(overlap), request_id=request_id)
    return call(
        request,
        v1.RotateKeyResponse,
        lambda reply: RotatedKey(
            reading.key(reply.key), Secret(reply.secret), reading.receipt(reply.receipt)
        ),
    )


def revoke(
    key_id: str, reason: RevocationReason = RevocationReason.UNSPECIFIED, note: str = ""
) -> Call[Changed[Key]]:
    """Revokes the key for good. When the call returns, nothing accepts the key any more."""
    request = v1.RevokeKeyRequest(key_id=key_id, reason=_number(reason), note=note)
    return call(request, v1.RevokeKeyResponse, _changed)


def revoke_all(
    key_ids: Sequence[str],
    reason: RevocationReason = RevocationReason.UNSPECIFIED,
    note: str = "",
) -> Call[Changed[tuple[Key, ...]]]:
    """Revokes up to 1,000 keys, all or none, with one wait."""
    request = v1.RevokeKeysRequest(key_ids=key_ids, reason=_number(reason), note=note)
    return call(request, v1.RevokeKeysResponse, _changed_keys)


def lookup(secret: Secret) -> Call[Key]:
    """Returns the key of the secret, which may have ended."""
    request = v1.LookupKeyRequest(secret=secret.reveal())
    return call(request, v1.LookupKeyResponse, lambda reply: reading.key(reply.key))


def import_keys(
    workspace_id: str, imported: Sequence[ImportedKey]
) -> Call[Changed[tuple[Key, ...]]]:
    """Imports up to 1,000 keys, all or none."""
    request = v1.ImportKeysRequest(workspace_id=workspace_id, keys=map(imported_key, imported))
    return call(request, v1.ImportKeysResponse, _changed_keys)


def imported_key(key: ImportedKey) -> v1.ImportedKey:
    """Returns the message of a key to import, whose size tells how many fit into one call."""
    message = v1.ImportedKey(secret=key.secret.reveal())
    write(key.settings, message)
    return message


def _changed(reply: v1.UpdateKeyResponse | v1.RevokeKeyResponse) -> Changed[Key]:
    return Changed(reading.key(reply.key), reading.receipt(reply.receipt))


def _changed_keys(
    reply: v1.RevokeKeysResponse | v1.ImportKeysResponse,
) -> Changed[tuple[Key, ...]]:
    return Changed(tuple(map(reading.key, reply.keys)), reading.receipt(reply.receipt))


def _number(choice: KeyState | RevocationReason | None) -> Any:
    # For mypy an enum of the contract is no number.
    return 0 if choice is None else choice.value
