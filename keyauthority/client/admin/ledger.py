"""Calls of LedgerService: top up, adjust and refund credits, record charges, and read the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.client.admin.records import Changed, ChargeToRecord, Recorded, Usage
from keyauthority.domain.ledger import Credited, Entry, EntryFilter, Proof
from keyauthority.domain.usage import Group
from keyauthority.escrow.slices import Account
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1.wire import timestamp


def top_up(
    workspace_id: str,
    amount: int,
    purchase_id: str,
    *,
    priority: int | None = None,
    expire_time: datetime | None = None,
    ttl: timedelta | None = None,
    promotional: bool = False,
    note: str = "",
) -> Call[Changed[Credited]]:
    """Adds *amount* nano-credits, once for each purchase.

    They expire at *expire_time*, or *ttl* after they were added, which is the same for a repeat.
    """
    request = v1.TopUpRequest(
        workspace_id=workspace_id,
        amount_nano_credits=amount,
        purchase_id=purchase_id,
        promotional=promotional,
        priority=priority,
        expire_time=None if expire_time is None else timestamp(expire_time),
        note=note,
    )
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    return call(request, v1.TopUpResponse, _credited)


def adjust(
    workspace_id: str, amount: int, reason: str, *, reference: str = ""
) -> Call[Changed[Credited]]:
    """Corrects the balance by *amount* nano-credits, up or down.

    The call is safe to repeat: without a *reference* its request has a new one.
    """
    request = v1.AdjustRequest(
        workspace_id=workspace_id,
        amount_nano_credits=amount,
        reason=reason,
        reference=reference or f"adjustment-{uuid.uuid4().hex}",
    )
    return call(request, v1.AdjustResponse, _credited)


def refund(
    workspace_id: str,
    subject: str,
    amount: int | None = None,
    *,
    reference: str = "",
    note: str = "",
) -> Call[Changed[Credited]]:
    """Returns the charge or grant under the reference *subject*: None is all that is left of it.

    The call is safe to repeat: without a *reference* its request has a new one.
    """
    request = v1.RefundRequest(
        workspace_id=workspace_id,
        subject=subject,
        amount_nano_credits=amount,
        reference=reference or f"refund-{uuid.uuid4().hex}",
        note=note,
    )
    return call(request, v1.RefundResponse, _credited)


def record(charges: Iterable[ChargeToRecord]) -> Call[Changed[tuple[Recorded, ...]]]:
    """Enters up to 500 charges of an upstream that meters itself; tells what became of each, in order.

    The call is safe to repeat: each reference counts once.
    """
    return call(
        v1.RecordChargesRequest(charges=map(_charge, charges)),
        v1.RecordChargesResponse,
        lambda reply: Changed(
            tuple(map(reading.recorded, reply.charges)), reading.receipt(reply.receipt)
        ),
    )


def balance(workspace_id: str) -> Call[Account]:
    """Returns what a workspace has."""
    request = v1.GetBalanceRequest(workspace_id=workspace_id)
    return call(request, v1.GetBalanceResponse, lambda reply: reading.account(reply.balance))


def page(which: EntryFilter, *, size: int = 0, token: str = "") -> Call[Page[Entry]]:
    """Returns a page of a workspace's entries, newest first."""
    request = v1.ListEntriesRequest(
        workspace_id=which.workspace_id,
        kind=v1.EntryKind.ValueType(which.kind.value if which.kind else 0),
        key_id=which.key_id,
        model=which.model,
        reference=which.reference,
        start_time=None if which.start is None else timestamp(which.start),
        end_time=None if which.end is None else timestamp(which.end),
        page_size=size,
        page_token=token,
    )
    return call(
        request,
        v1.ListEntriesResponse,
        lambda reply: Page(tuple(map(reading.entry, reply.entries)), reply.next_page_token),
    )


def usage(
    workspace_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    by: Iterable[Group] = (),
    time_zone: str = "",
) -> Call[Usage]:
    """Sums up a workspace's charges, less refunds: the last 30 days, unless a time is named."""
    request = v1.SummarizeUsageRequest(
        workspace_id=workspace_id,
        start_time=timestamp(start),
        end_time=timestamp(end),
        group_by=[v1.UsageGroup.ValueType(group.value) for group in by],
        time_zone=time_zone,
    )
    return call(
        request,
        v1.SummarizeUsageResponse,
        lambda reply: Usage(tuple(map(reading.usage_sum, reply.sums)), reply.truncated),
    )


def verify(workspace_id: str) -> Call[Proof]:
    """Proves of one state of a workspace's ledger that it adds up."""
    return call(
        v1.VerifyLedgerRequest(workspace_id=workspace_id),
        v1.VerifyLedgerResponse,
        lambda reply: Proof(reply.entries, reading.account(reply.balance), tuple(reply.faults)),
    )


def _charge(charge: ChargeToRecord) -> v1.RecordedCharge:
    return v1.RecordedCharge(
        reference=charge.reference,
        workspace_id=charge.workspace_id,
        cost_nano_credits=charge.cost,
        key_id=charge.key_id,
        model=charge.model,
        path=charge.path,
        request_id=charge.request_id,
        counts=charge.counts,
        status=charge.status,
        time=timestamp(charge.time),
    )


def _credited(
    reply: v1.TopUpResponse | v1.AdjustResponse | v1.RefundResponse,
) -> Changed[Credited]:
    credited = Credited(reading.entry(reply.entry), reading.account(reply.balance))
    return Changed(credited, reading.receipt(reply.receipt))
