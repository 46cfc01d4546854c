"""Messages to what the domain speaks of, and back. Nothing else happens here."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from keyauthority.domain import etags
from keyauthority.domain.answering import KnownVerdict, Verdicts
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.errors import in_entry, invalid
from keyauthority.domain.facts import Action
from keyauthority.domain.importing import ImportedKey
from keyauthority.domain.issuing import NewKey
from keyauthority.domain.keys import (
    KEY_SETTINGS,
    Key,
    KeyState,
    RevocationReason,
    StoredSecret,
)
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Grant, Head, Receipt, Session
from keyauthority.domain.updating import KeyUpdate
from keyauthority.domain.verdicts import Verification
from keyauthority.domain.workspaces import Workspace
from keyauthority.v1 import (
    audit_service_pb2,
    caller_service_pb2,
    key_pb2,
    key_service_pb2,
    operations_service_pb2,
    receipt_pb2,
    verification_service_pb2,
    workspace_service_pb2,
)
from keyauthority.v1.key_settings import settings_of, write
from keyauthority.v1.wire import duration, timestamp

Member = TypeVar("Member", bound=enum.Enum)


def time_of(request: Message, field: str) -> datetime | None:
    """The moment in *field*, None if it is unset; raises `FIELD_INVALID` for one there isn't."""
    if not request.HasField(field):
        return None
    try:
        moment: datetime = getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is not a time between the years 1 and 9999") from None
    return moment


def length_of(request: Message, field: str) -> timedelta | None:
    """The length of time in *field*, None if it is unset; raises `FIELD_INVALID`."""
    if not request.HasField(field):
        return None
    try:
        length: timedelta = getattr(request, field).ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(field, "is not a length of time") from None
    return length


def mask_of(mask: FieldMask, message: Message, known: frozenset[str]) -> frozenset[str]:
    """Which fields an update names (AIP-134): all for `*`, those that are set for no mask at all."""
    if list(mask.paths) == ["*"]:
        return known
    if not known.issuperset(mask.paths):
        raise invalid("update_mask", f"names a field other than {', '.join(sorted(known))}")
    if mask.paths:
        return frozenset(mask.paths)
    return known & {descriptor.name for descriptor, _ in message.ListFields()}


def state_of(state: int) -> KeyState | None:
    """The state to list keys by; raises `FIELD_INVALID`."""
    return _member(KeyState, state, "state") if state else None


def reason_of(reason: int) -> RevocationReason:
    """Why keys are revoked; raises `FIELD_INVALID`."""
    return _member(RevocationReason, reason, "reason")


def role_of(role: int) -> Role:
    """A role; raises `FIELD_INVALID`."""
    return _member(Role, role, "roles")


def new_key(request: key_service_pb2.IssueKeyRequest) -> NewKey:
    """What key to issue."""
    return NewKey(
        request.workspace_id, settings_of(request, time_of), ttl=length_of(request, "ttl")
    )


def imported_keys(request: key_service_pb2.ImportKeysRequest) -> list[ImportedKey]:
    """Which keys to take over."""
    return [_imported(request.workspace_id, index, one) for index, one in enumerate(request.keys)]


def _imported(workspace_id: str, index: int, given: key_service_pb2.ImportedKey) -> ImportedKey:
    with in_entry("keys", index):
        new = NewKey(workspace_id, settings_of(given, time_of))
    return ImportedKey(Secret(given.secret), new)


def key_update(request: key_service_pb2.UpdateKeyRequest) -> KeyUpdate:
    """What to change in a key."""
    mask = mask_of(request.update_mask, request.key, frozenset(KEY_SETTINGS))
    return KeyUpdate(mask, settings_of(request.key, time_of))


def audit_filter(request: audit_service_pb2.ListAuditEntriesRequest) -> AuditFilter:
    """Which entries to list."""
    return AuditFilter(
        request.subject,
        request.workspace_id,
        request.caller_id,
        time_of(request, "start_time"),
        time_of(request, "end_time"),
        request.person_id,
        request.action,
        _member(Action, request.fact, "fact") if request.fact else None,
    )


def key(record: Key, now: datetime) -> key_pb2.Key:
    """A key as it is at *now*."""
    revocation = record.revocation
    message = key_pb2.Key(
        id=record.id,
        workspace_id=record.workspace_id,
        state=_value(record.state(now)),
        secrets=[_secret_info(one, record.last_used.get(one.digest)) for one in record.secrets],
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        revoke_time=timestamp(revocation.time if revocation else None),
        revocation_reason=_value(revocation.reason if revocation else RevocationReason.UNSPECIFIED),
        revocation_note=revocation.note if revocation else "",
        etag=etags.etag(record.id, record.version),
        last_used_time=timestamp(max(record.last_used.values(), default=None)),
        creator_id=record.creator_id,
        creator_name=record.creator_name,
        revoker_id=revocation.by.id if revocation else "",
        revoker_name=revocation.by.name if revocation else "",
    )
    write(record.settings, message)
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


def receipt(given: Receipt) -> receipt_pb2.Receipt:
    """A receipt."""
    return receipt_pb2.Receipt(
        revision=given.revision,
        sessions_acknowledged=given.sessions_acknowledged,
        leases_waited_out=given.leases_waited_out,
        waited=duration(given.waited),
    )


def verification(given: Verification) -> verification_service_pb2.VerifyResponse:
    """A verdict."""
    response = verification_service_pb2.VerifyResponse(
        verdict=_value(given.verdict),
        epoch=given.epoch,
        revision=given.revision,
        cache_for=duration(given.cache_for),
        key_revoked=given.key_revoked,
    )
    if given.key is not None:
        response.key.id = given.key.id
        response.key.workspace_id = given.key.workspace_id
        response.key.name = given.key.name
        response.key.scopes.extend(given.key.scopes)
        response.key.labels.update(given.key.labels)
    return response


class KnownVerdicts:
    """Serialises verdicts from memory: what of one does not change is kept with it.

    Serialised messages, one after the other, are one message with the fields of all. The one with
    what is of the moment is kept, since filling it in again is quicker than making another.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._applied: Head | None = None
        self._passing = verification_service_pb2.VerifyResponse()
        self._cache_for = self._passing.cache_for

    def encode(self, known: KnownVerdict, now: float) -> bytes:
        """The serialised answer that *known* is at *now*, by the clock of leases."""
        applied = self._verdicts.applied
        if applied is not self._applied:
            self._applied = applied
            self._passing.epoch, self._passing.revision = applied.epoch, applied.revision
        nanos = max(int((known.until - now) * 1e9), 0)
        self._cache_for.seconds, self._cache_for.nanos = divmod(nanos, 1_000_000_000)
        return (known.encoded or _lasting(known)) + self._passing.SerializeToString()


def _lasting(known: KnownVerdict) -> bytes:
    verdict = Verification(known.verdict, known.key, 0, 0, timedelta(), known.key_revoked)
    answer = verification(verdict)
    answer.ClearField("cache_for")
    known.encoded = answer.SerializeToString()
    return known.encoded


def grant(given: Grant) -> verification_service_pb2.SyncResponse:
    """A lease."""
    return verification_service_pb2.SyncResponse(
        session_id=given.session_id,
        epoch=given.head.epoch,
        revision=given.head.revision,
        lease=duration(given.lease),
        reset=given.subjects is None,
        subjects=given.subjects or (),
        foreign_secrets=given.foreign_secrets,
    )


def session(record: Session, caller_name: str, lease: timedelta) -> operations_service_pb2.Session:
    """A session of a caller by that name, where the terms say *lease*."""
    return operations_service_pb2.Session(
        id=record.id,
        caller_id=record.caller_id,
        caller_name=caller_name,
        name=record.name,
        create_time=timestamp(record.create_time),
        sync_time=timestamp(record.sync_time),
        revision=record.acknowledged,
        lease=duration(record.allowance.granted(lease)),
        times_late=record.late,
    )


def workspace(record: Workspace) -> workspace_service_pb2.Workspace:
    """A workspace."""
    return workspace_service_pb2.Workspace(
        id=record.id,
        name=record.name,
        suspended=record.suspended,
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=etags.etag(record.id, record.version),
    )


def caller(record: Caller) -> caller_service_pb2.Caller:
    """A caller."""
    return caller_service_pb2.Caller(
        id=record.id,
        name=record.name,
        roles=sorted(_value(role) for role in record.roles),
        workspace_ids=record.workspace_ids,
        certificate_name=record.certificate_name,
        token_hint=record.token_hint,
        create_time=timestamp(record.create_time),
        revoke_time=timestamp(record.revoke_time),
        acts_for_people=record.acts_for_people,
    )


def audit_entry(entry: AuditEntry) -> audit_service_pb2.AuditEntry:
    """An audit entry."""
    return audit_service_pb2.AuditEntry(
        id=entry.id,
        time=timestamp(entry.time),
        caller_id=entry.caller_id,
        caller_name=entry.caller_name,
        action=entry.method,
        fact=_value(entry.action),
        subject=entry.subject,
        workspace_id=entry.workspace_id,
        refused=entry.refused,
        source=entry.source,
        request_id=entry.request_id,
        details=entry.details,
        revision=entry.revision,
        person_id=entry.person_id,
        person_name=entry.person_name,
    )


def pepper(record: Pepper, uses: int = 0) -> operations_service_pb2.Pepper:
    """A pepper version and how many credentials in force need it."""
    return operations_service_pb2.Pepper(
        version=record.version,
        state=_value(record.state),
        secrets=uses,
        create_time=timestamp(record.create_time),
    )


def _member(kind: type[Member], number: int, field: str) -> Member:
    try:
        return kind(number)
    except ValueError:
        raise invalid(field, f"has no value {number}") from None


def _value(member: Any) -> Any:
    # The domain's enums have the contract's numbers: a test holds the two together.
    return member.value
