"""What does not stay: kept answers, and audit entries with a term."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Role
from keyauthority.server import Pace, serving
from keyauthority.v1.audit_service_pb2 import Action, ListAuditEntriesRequest
from keyauthority.v1.key_service_pb2 import IssueKeyRequest
from keyauthority.v1.ledger_service_pb2 import (
    ListEntriesRequest,
    TopUpRequest,
)
from keyauthority.v1.spending_service_pb2 import SettleRequest, SliceCall
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, Authority, eventually, issue, settings_in
from tests.rpc.syncing import join


@pytest.fixture
def pace() -> Pace:
    return Pace(tidying=0.01, pruning=0.01)


async def some_rounds(books: GatedBooks) -> None:
    """Returns when the authority has looked for what is to go, once more and to the end."""
    changes = books.changes + 6

    async def are_made() -> bool:
        return books.changes >= changes

    await eventually(are_made)


async def test_a_kept_answer_is_destroyed_when_its_time_is_over(
    authority: Authority, workspace: str, clock: ManualClock
) -> None:
    """After ten minutes no byte of it is in the database or its journal, sealed or not."""
    request = IssueKeyRequest(workspace_id=workspace, name="ci", request_id="needle-in-a-haystack")
    issued = await authority.root(request)

    async def gone() -> bool:
        return request.request_id.encode() not in contents(authority)

    assert not await gone()
    clock.time += timedelta(minutes=10)
    await eventually(gone)
    assert issued.secret.encode() not in contents(authority)


async def test_a_kept_answer_stays_for_its_ten_minutes(
    authority: Authority, workspace: str, clock: ManualClock, books: GatedBooks
) -> None:
    """The rounds leave alone what may still be asked for."""
    request = IssueKeyRequest(workspace_id=workspace, name="ci", request_id="id-1")
    issued = await authority.root(request)
    clock.time += timedelta(minutes=9, seconds=59)
    await some_rounds(books)
    assert (await authority.root(request)).secret == issued.secret


async def test_credits_expire_by_themselves(
    authority: Authority, workspace: str, clock: ManualClock
) -> None:
    """With nothing else happening to them: an entry, which is the record of it."""
    root, ends = authority.root, timestamp(clock.time + timedelta(days=1))
    amount: Any = {"workspace_id": workspace, "amount_nano_credits": 10**9}
    await root(TopUpRequest(**amount, purchase_id="p", expire_time=ends))
    clock.time += timedelta(days=1)

    async def gone() -> bool:
        return len((await root(ListEntriesRequest(workspace_id=workspace))).entries) == 2

    await eventually(gone)
    listed = (await root(ListEntriesRequest(workspace_id=workspace))).entries
    assert listed[0].caller_name == "the authority itself"
    assert listed[0].subject == listed[1].subject
    [audited, *_] = (await root(ListAuditEntriesRequest(workspace_id=workspace))).entries
    assert Action.Name(audited.fact) == "ACTION_CREDITS_ADDED"
    assert [entry.amount_nano_credits for entry in listed] == [-(10**9), 10**9]


async def test_what_stands_in_slices_is_looked_at(
    authority: Authority, workspace: str, registry: CollectorRegistry
) -> None:
    """Of all workspaces together, for the metrics."""
    other = (await authority.root(CreateWorkspaceRequest(name="other"))).workspace.id
    verifier = await authority.caller(Role.VERIFIER)
    session_id = (await join(verifier)).session_id
    for workspace_id in (workspace, other):
        purchase: dict[str, Any] = {"purchase_id": "p", "amount_nano_credits": 100}
        await authority.root(TopUpRequest(workspace_id=workspace_id, **purchase))
    asking: dict[str, Any] = {"number": 1, "sequence": 1, "want_nano_credits": 40}
    calls = [SliceCall(workspace_id=one, **asking) for one in (workspace, other)]

    async def escrowed() -> float | None:
        return registry.get_sample_value("keyauthority_escrowed_nano_credits")

    assert await escrowed() == 0
    await verifier(SettleRequest(session_id=session_id, slices=calls))

    async def seen() -> bool:
        return await escrowed() == 80

    await eventually(seen)


def contents(authority: Authority) -> bytes:
    database = authority.settings.database
    assert isinstance(database, Path)
    return b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))


async def test_no_secret_is_ever_in_the_files(authority: Authority, workspace: str) -> None:
    """Whoever copies the database finds digests and sealed answers, nothing to act with."""
    plain = await issue(authority.root, workspace)
    repeatable = await issue(authority.root, workspace, request_id="id-1")
    written = contents(authority)
    for secret in (plain.secret, repeatable.secret, authority.root.token):
        assert secret.encode()[-49:] not in written


async def test_audit_entries_go_when_their_term_is_over(
    tmp_path: Path, clock: ManualClock, running: AsyncExitStack, pace: Pace, books: GatedBooks
) -> None:
    """With a retention of an hour, an entry is there for an hour; that it went is told by another."""
    settings = settings_in(tmp_path, audit_retention=timedelta(hours=1))
    served = serving(settings, clock, pace=pace, open_books=books.open)
    port = await running.enter_async_context(served)
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    root = Api(await running.enter_async_context(channel), settings.root_token.read_text().strip())

    async def gone() -> bool:
        return not before & {one.id for one in (await root(ListAuditEntriesRequest())).entries}

    before = {one.id for one in (await root(ListAuditEntriesRequest())).entries}
    clock.time += timedelta(hours=1)
    await some_rounds(books)
    assert not await gone()
    clock.time += timedelta(microseconds=1)
    await eventually(gone)
    [entry] = (await root(ListAuditEntriesRequest())).entries
    assert (entry.caller_id, entry.details["deleted"]) == ("authority", str(len(before)))


async def test_audit_entries_stay_for_ever_by_default(
    authority: Authority, clock: ManualClock, books: GatedBooks
) -> None:
    """Nobody loses a record by not having chosen a term."""
    clock.time += timedelta(days=5_000)
    await some_rounds(books)
    assert len((await authority.root(ListAuditEntriesRequest())).entries) == 1
