"""Makes records of messages: a function for each record, called as the record is."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from keyauthority.client.admin.records import (
    Caller,
    Identity,
    Key,
    Pepper,
    Recorded,
    SecretInfo,
    Session,
    Sessions,
    Workspace,
)
from keyauthority.domain import earlier
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Role
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.keys import KeyState, Revocation, RevocationReason, Who
from keyauthority.domain.ledger import NO_USE, Entry, Kind, Use
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.recorded import RecordedState
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.usage import UsageSum
from keyauthority.escrow.slices import Account
from keyauthority.v1 import (
    audit_service_pb2,
    caller_service_pb2,
    identity_service_pb2,
    key_pb2,
    ledger_service_pb2,
    operations_service_pb2,
    receipt_pb2,
    workspace_service_pb2,
)
from keyauthority.v1.key_settings import settings_of

Member = TypeVar("Member", bound=enum.Enum)


def key(message: key_pb2.Key) -> Key:
    """Returns a key."""
    return Key(
        id=message.id,
        workspace_id=message.workspace_id,
        settings=settings_of(message, _optional),
        state=_member(KeyState, message.state),
        secrets=tuple(map(_secret_info, message.secrets)),
        create_time=_time(message.create_time),
        update_time=_time(message.update_time),
        revocation=_revocation(message),
        etag=message.etag,
        last_used_time=_optional(message, "last_used_time"),
        creator=Who(message.creator_id, message.creator_name),
    )


def _secret_info(message: key_pb2.SecretInfo) -> SecretInfo:
    return SecretInfo(
        hint=message.hint,
        create_time=_time(message.create_time),
        end_time=_optional(message, "end_time"),
        pepper_version=message.pepper_version,
        last_used_time=_optional(message, "last_used_time"),
        creator=Who(message.creator_id, message.creator_name),
    )


def _revocation(message: key_pb2.Key) -> Revocation | None:
    time = _optional(message, "revoke_time")
    if time is None:
        return None
    reason = _member(RevocationReason, message.revocation_reason)
    return Revocation(
        time,
        reason or RevocationReason.UNSPECIFIED,
        message.revocation_note,
        Who(message.revoker_id, message.revoker_name),
    )


def account(message: ledger_service_pb2.Balance) -> Account:
    """Returns what a workspace has."""
    return Account(message.balance_nano_credits, message.escrowed_nano_credits)


def entry(message: ledger_service_pb2.LedgerEntry) -> Entry:
    """Returns an entry of a ledger; one of a kind that only newer versions know is an adjustment."""
    return Entry(
        workspace_id=message.workspace_id,
        number=message.number,
        kind=_member(Kind, message.kind) or Kind.ADJUSTMENT,
        amount=message.amount_nano_credits,
        balance=message.balance_nano_credits,
        reference=message.reference,
        time=_time(message.time),
        subject=message.subject,
        note=message.note,
        caller_id=message.caller_id,
        caller_name=message.caller_name,
        person_id=message.person_id,
        person_name=message.person_name,
        use=_use(message.use) if message.HasField("use") else NO_USE,
    )


def terms(
    message: ledger_service_pb2.LedgerEntry,
) -> tuple[int, datetime | None, bool] | None:
    """Returns the terms of the grant that an entry made, as `Grant.terms`; None if it made none."""
    if not message.HasField("terms"):
        return None
    of = message.terms
    return of.priority, _optional(of, "expire_time"), of.promotional


def _use(message: ledger_service_pb2.LedgerUse) -> Use:
    return Use(
        key_id=message.key_id,
        model=message.model,
        path=message.path,
        request_id=message.request_id,
        counts=dict(message.counts),
        price_id=message.price_id,
        held=message.held_nano_credits,
        estimated=message.estimated,
        status=message.status,
        session_id=message.session_id,
    )


def usage_sum(message: ledger_service_pb2.UsageSum) -> UsageSum:
    """Returns what the charges of one group come to."""
    return UsageSum(
        date.fromisoformat(message.day) if message.day else None,
        message.key_id,
        message.model,
        message.cost_nano_credits,
        message.charges,
        message.estimated,
        dict(message.counts),
        message.refunded_nano_credits,
    )


def recorded(message: ledger_service_pb2.RecordedChargeAnswer) -> Recorded:
    """Returns what became of a charge."""
    return Recorded(_member(RecordedState, message.state), message.cost_nano_credits)


def receipt(message: receipt_pb2.Receipt) -> Receipt:
    """Returns a receipt."""
    return Receipt(
        revision=message.revision,
        sessions_acknowledged=message.sessions_acknowledged,
        leases_waited_out=message.leases_waited_out,
        waited=message.waited.ToTimedelta(),
    )


def workspace(message: workspace_service_pb2.Workspace) -> Workspace:
    """Returns a workspace."""
    return Workspace(
        id=message.id,
        name=message.name,
        suspended=message.suspended,
        create_time=_time(message.create_time),
        update_time=_time(message.update_time),
        etag=message.etag,
    )


def caller(message: caller_service_pb2.Caller) -> Caller:
    """Returns a caller."""
    return Caller(
        id=message.id,
        name=message.name,
        roles=tuple(_member(Role, role) for role in message.roles),
        workspace_ids=tuple(message.workspace_ids),
        certificate_name=message.certificate_name,
        token_hint=message.token_hint,
        create_time=_time(message.create_time),
        revoke_time=_optional(message, "revoke_time"),
        acts_for_people=message.acts_for_people,
    )


def identity(message: identity_service_pb2.WhoAmIResponse) -> Identity:
    """Returns who calls, and who answers."""
    time, version = _time(message.server_time), message.server_version
    return Identity(caller(message.caller), time, version)


def audit_entry(message: audit_service_pb2.AuditEntry) -> AuditEntry:
    """Returns an audit entry. The method tells the action if an older authority wrote the entry."""
    details = dict(message.details)
    if message.fact:
        fact = Fact(_member(Action, message.fact) or Action.OTHER, details)
    else:
        fact = earlier.fact(message.action, message.subject, details, refused=message.refused)
    return AuditEntry(
        id=message.id,
        time=_time(message.time),
        caller_id=message.caller_id,
        caller_name=message.caller_name,
        method=message.action,
        action=fact.action,
        subject=message.subject,
        workspace_id=message.workspace_id,
        refused=message.refused,
        source=message.source,
        request_id=message.request_id,
        details=fact.details,
        revision=message.revision,
        person_id=message.person_id,
        person_name=message.person_name,
    )


def sessions(reply: operations_service_pb2.ListSessionsResponse) -> Sessions:
    """Returns all sessions."""
    return Sessions(
        tuple(map(_session, reply.sessions)),
        reply.epoch,
        reply.revision,
        reply.lease.ToTimedelta(),
        reply.longest_wait.ToTimedelta(),
    )


def _session(message: operations_service_pb2.Session) -> Session:
    return Session(
        id=message.id,
        caller_id=message.caller_id,
        caller_name=message.caller_name,
        name=message.name,
        create_time=_time(message.create_time),
        sync_time=_time(message.sync_time),
        revision=message.revision,
        lease=message.lease.ToTimedelta(),
        times_late=message.times_late,
    )


def pepper(message: operations_service_pb2.Pepper) -> Pepper:
    """Returns a pepper version."""
    return Pepper(
        version=message.version,
        state=_member(PepperState, message.state),
        secrets=message.secrets,
        create_time=_time(message.create_time),
    )


def _time(message: Timestamp) -> datetime:
    return message.ToDatetime(UTC)


def _optional(message: Message, field: str) -> datetime | None:
    return _time(getattr(message, field)) if message.HasField(field) else None


def _member(kind: type[Member], number: int) -> Member | None:
    # The domain's choices have the contract's numbers. A newer authority may have more of them.
    try:
        return kind(number)
    except ValueError:
        return None
