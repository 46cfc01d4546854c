"""Who did what: every change leaves one entry, every refused attempt of a known caller too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from keyauthority.domain.callers import Role
from keyauthority.rpc.services import SERVICES
from keyauthority.v1.audit_service_pb2 import (
    AuditEntry,
    ListAuditEntriesRequest,
    PruneAuditEntriesRequest,
)
from keyauthority.v1.caller_service_pb2 import CreateCallerRequest, RevokeCallerRequest
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    ImportedKey,
    ImportKeysRequest,
    IssueKeyRequest,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.ledger_service_pb2 import (
    AdjustRequest,
    RefundRequest,
    SetPricesRequest,
    TopUpRequest,
)
from keyauthority.v1.operations_service_pb2 import (
    ActivatePepperRequest,
    AddPepperRequest,
    RetirePepperRequest,
)
from keyauthority.v1.price_pb2 import Price, Rates
from keyauthority.v1.verification_service_pb2 import RevokePresentedRequest, VerifyRequest
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import (
    CreateWorkspaceRequest,
    UpdateWorkspaceRequest,
    Workspace,
)
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import METHODS, Api, Authority, LeaseClock, invalid_field, issue, reason

MINE = ("x-request-id", "mine")
UNAUDITED = {"SpendingService.Settle", "LedgerService.RecordCharges"}
"""The entries of the ledgers are the record of what it does."""


async def entries(api: Api, **which: Any) -> list[AuditEntry]:
    """Newest first."""
    return list((await api(ListAuditEntriesRequest(page_size=1_000, **which))).entries)


async def new_entries(api: Api, change: Callable[[], Awaitable[object]]) -> list[AuditEntry]:
    """What *change* adds to the audit, oldest first."""
    before = len(await entries(api))
    await change()
    listed = await entries(api)
    return listed[: len(listed) - before][::-1]


async def test_the_first_start_is_the_first_entry(root: Api) -> None:
    """The audit begins with the root caller's making, by the authority itself."""
    [entry] = await entries(root)
    assert (entry.action, entry.caller_id) == ("serve", "authority")
    assert entry.subject.startswith("caller_")


def an_import(workspace: str, secret: str) -> ImportKeysRequest:
    return ImportKeysRequest(
        workspace_id=workspace, keys=[ImportedKey(secret=secret, name="from elsewhere")]
    )


async def changes_of(authority: Authority) -> list[tuple[str, Message, str | None, int]]:
    """Requests of every changing method: its action, the subject, and its revision.

    A new thing's subject is empty, since nobody knows its id yet; None: it is about no one thing.
    """
    root, workspace = authority.root, await authority.workspace()
    key, other, last = [await issue(root, workspace) for _ in range(3)]
    caller = (await authority.caller(Role.VERIFIER)).caller_id
    # The first import ever is a change that verifiers hear of, with an entry of its own.
    await root(an_import(workspace, "an-imported-secret-of-some-length"))
    renamed = Workspace(id=workspace, name="after")
    roles: Any = [1]
    amount: Any = {"workspace_id": workspace, "amount_nano_credits": 1}
    price = Price(model="*", path="*", rates=Rates(request=1))
    past = timestamp(START - timedelta(seconds=1))
    requests: list[tuple[Message, str | None, int]] = [
        (IssueKeyRequest(workspace_id=workspace, name="k"), "", 0),
        (an_import(workspace, "another-secret-of-some-length"), "", 0),
        (UpdateKeyRequest(key=Key(id=key.key.id, name="after")), key.key.id, 2),
        (RotateKeyRequest(key_id=key.key.id), key.key.id, 3),
        (RevokeKeyRequest(key_id=key.key.id, note="why"), key.key.id, 4),
        (RevokeKeysRequest(key_ids=[other.key.id]), other.key.id, 5),
        (RevokePresentedRequest(secret=last.secret), last.key.id, 6),
        (UpdateWorkspaceRequest(workspace=renamed), workspace, 7),
        (CreateWorkspaceRequest(name="w"), "", 0),
        (CreateCallerRequest(name="c", roles=roles), "", 0),
        (RevokeCallerRequest(caller_id=caller), caller, 8),
        (TopUpRequest(**amount, purchase_id="p"), f"{workspace}/credits", 0),
        (AdjustRequest(**amount, reason="why"), f"{workspace}/credits", 0),
        (RefundRequest(workspace_id=workspace, subject="p"), f"{workspace}/credits", 9),
        (SetPricesRequest(prices=[price]), "prices", 10),
        (AddPepperRequest(), "pepper_2", 0),
        (ActivatePepperRequest(version=2), "pepper_2", 0),
        (AddPepperRequest(), "pepper_3", 0),
        (RetirePepperRequest(version=3), "pepper_3", 0),
        (PruneAuditEntriesRequest(before_time=past), None, 0),
    ]
    return [(label_of(request), request, *rest) for request, *rest in requests]  # type: ignore[misc]


def label_of(request: Message) -> str:
    method = METHODS[type(request).__name__]
    return f"{method.containing_service.name}.{method.name}"


async def test_every_change_leaves_one_entry(authority: Authority, clock: ManualClock) -> None:
    """It says who, what, to what, when, from where, in which call and at which revision."""
    root = authority.root
    clock.time += timedelta(seconds=7)
    changes = await changes_of(authority)
    assert {action for action, *_ in changes} == {
        method.label for one in SERVICES for method in one.methods() if method.changes
    } - UNAUDITED
    for action, request, subject, revision in changes:
        [entry] = await new_entries(root, lambda request=request: root(request, MINE))  # type: ignore[misc]
        assert entry.action == action
        assert (entry.caller_id, entry.caller_name) == ((await entries(root))[-1].subject, "root")
        assert entry.request_id == "mine"
        assert entry.source.startswith("ipv4:127.0.0.1:")
        assert entry.time == timestamp(START + timedelta(seconds=7))
        assert entry.revision == revision, action
        assert not entry.refused
        assert subject in ("", None, entry.subject), action
        assert bool(entry.subject) is (subject is not None), action


async def test_entries_about_keys_name_their_workspace(root: Api, workspace: str) -> None:
    """A tenant's whole story can be read by its id."""
    key_id = (await issue(root, workspace)).key.id
    await root(RevokeKeyRequest(key_id=key_id))
    listed = await entries(root, workspace_id=workspace)
    assert [entry.action.partition(".")[2] for entry in listed] == [
        "RevokeKey",
        "IssueKey",
        "CreateWorkspace",
    ]
    assert {entry.workspace_id for entry in listed} == {workspace}


async def test_a_batch_leaves_an_entry_a_key(root: Api, workspace: str) -> None:
    """Each key's story is whole; each entry has the revision of its own key."""
    ids = [(await issue(root, workspace)).key.id for _ in range(3)]
    left = await new_entries(root, lambda: root(RevokeKeysRequest(key_ids=ids)))
    assert [(entry.subject, entry.revision) for entry in left] == list(
        zip(ids, [1, 2, 3], strict=True)
    )


async def test_what_changes_nothing_leaves_no_entry(root: Api, workspace: str) -> None:
    """Reading, verifying, failing and repeating are no changes."""
    issued = await issue(root, workspace)
    await root(RevokeKeyRequest(key_id=issued.key.id))

    async def nothing() -> None:
        await root(GetKeyRequest(key_id=issued.key.id))
        await root(VerifyRequest(secret=issued.secret))
        await root(RevokeKeyRequest(key_id=issued.key.id))
        await root(UpdateWorkspaceRequest(workspace=Workspace(id=workspace)))
        for failing in (
            IssueKeyRequest(workspace_id=workspace),
            RotateKeyRequest(key_id=issued.key.id),
            UpdateKeyRequest(key=Key(id="key_1", name="x")),
            RevokeKeysRequest(key_ids=[issued.key.id, "key_1"]),
            CreateCallerRequest(name="root"),
            RetirePepperRequest(version=1),
        ):
            await reason(root(failing))

    assert await new_entries(root, nothing) == []


async def test_no_entry_holds_a_secret(root: Api, workspace: str) -> None:
    """The audit can be shown to anybody who may read it."""
    issued = await issue(root, workspace, request_id="id-1")
    rotated = await root(RotateKeyRequest(key_id=issued.key.id))
    created = await root(CreateCallerRequest(name="c", roles=[1]))  # type: ignore[list-item]
    shown = b"".join(entry.SerializeToString() for entry in await entries(root))
    for secret in (issued.secret, rotated.secret, created.token):
        assert secret[-49:].encode() not in shown


class TestARefusedAttempt:
    async def test_is_written_down(self, authority: Authority, workspace: str) -> None:
        """A known caller that tries what it may not do leaves a trace."""
        verifier = await authority.caller(Role.VERIFIER)
        await reason(verifier(RevokeKeyRequest(key_id="key_1"), MINE))
        newest = (await entries(authority.root))[0]
        assert (newest.action, newest.caller_id) == ("KeyService.RevokeKey", verifier.caller_id)
        assert newest.refused
        assert newest.request_id == "mine"
        assert newest.revision == 0

    async def test_is_written_down_ten_times_a_minute(
        self, authority: Authority, lease_clock: LeaseClock
    ) -> None:
        """One caller can't flood the audit, nor keep another's attempts out of it."""
        lease_clock.begin_minute()
        one, other = [await authority.caller(Role.VERIFIER) for _ in range(2)]
        for _ in range(13):
            assert await reason(one(GetKeyRequest())) == "ROLE_MISSING"
        await reason(other(GetKeyRequest()))
        assert len(await entries(authority.root, caller_id=one.caller_id)) == 10
        assert len(await entries(authority.root, caller_id=other.caller_id)) == 1
        lease_clock.ahead += 60
        await reason(one(GetKeyRequest()))
        assert len(await entries(authority.root, caller_id=one.caller_id)) == 11

    async def test_of_a_stranger_is_not(self, authority: Authority, anybody: Api) -> None:
        """Nobody without a credential can write into the audit."""
        stranger = Api(anybody.channel, "noise")
        assert await new_entries(authority.root, lambda: reason(anybody(GetKeyRequest()))) == []
        assert await new_entries(authority.root, lambda: reason(stranger(GetKeyRequest()))) == []


class TestFilters:
    async def test_by_subject_and_caller(self, authority: Authority, workspace: str) -> None:
        """One key's story, one caller's doings, and both together."""
        issuer = await authority.caller(Role.ISSUER)
        one = (await issue(issuer, workspace)).key.id
        two = (await issue(authority.root, workspace)).key.id
        by = issuer.caller_id
        assert [entry.subject for entry in await entries(authority.root, subject=two)] == [two]
        assert [entry.subject for entry in await entries(authority.root, caller_id=by)] == [one]
        assert await entries(authority.root, subject=two, caller_id=by) == []

    async def test_by_time(self, root: Api, workspace: str, clock: ManualClock) -> None:
        """The start is included, the end is not."""
        moments = []
        for _ in range(3):
            clock.time += timedelta(seconds=1)
            moments.append(timestamp(clock.time))
            await issue(root, workspace)
        listed = await entries(root, start_time=moments[1], end_time=moments[2])
        assert [entry.time for entry in listed] == [moments[1]]
        assert [entry.time for entry in await entries(root, start_time=moments[1])] == [
            moments[2],
            moments[1],
        ]

    @pytest.mark.parametrize("field", ["start_time", "end_time"])
    @pytest.mark.parametrize(
        "time", [Timestamp(seconds=10**12), Timestamp(seconds=-(10**12)), Timestamp(nanos=-1)]
    )
    async def test_by_a_time_there_is_not(self, root: Api, field: str, time: Timestamp) -> None:
        """What is no moment of the calendar is refused."""
        with invalid_field(field):
            await entries(root, **{field: time})

    @pytest.mark.parametrize(
        "time", [Timestamp(seconds=-62_135_596_800), Timestamp(seconds=253_402_300_799)]
    )
    async def test_by_the_ends_of_the_calendar(self, root: Api, time: Timestamp) -> None:
        """The first and the last moment there are can be asked for."""
        both = await entries(root, start_time=time), await entries(root, end_time=time)
        assert sorted(map(len, both)) == [0, 1]


async def test_pages_hold_every_entry_once_newest_first(root: Api, workspace: str) -> None:
    """Paging goes by the ids, which grow."""
    for _ in range(5):
        await issue(root, workspace)
    everything = await entries(root)
    request, paged = ListAuditEntriesRequest(page_size=3), []
    while True:
        response = await root(request)
        paged += response.entries
        if not (token := response.next_page_token):
            break
        request.page_token = token
    assert paged == everything
    ids = [entry.id for entry in everything]
    assert ids == sorted(ids, reverse=True)


class TestPruning:
    async def test_deletes_what_is_older(
        self, root: Api, workspace: str, clock: ManualClock
    ) -> None:
        """And leaves an entry that says so."""
        clock.time += timedelta(seconds=1)
        kept = (await issue(root, workspace)).key.id
        before = timestamp(clock.time)
        clock.time += timedelta(seconds=1)
        assert (await root(PruneAuditEntriesRequest(before_time=before))).deleted == 2
        newest, oldest = await entries(root)
        assert newest.action == "AuditService.PruneAuditEntries"
        assert dict(newest.details) == {
            "before": (START + timedelta(seconds=1)).isoformat(),
            "deleted": "2",
        }
        assert oldest.subject == kept

    async def test_needs_a_moment_that_is_over(self, root: Api) -> None:
        """A missing or future moment is refused: it would delete everything, for ever."""
        with invalid_field("before_time"):
            await root(PruneAuditEntriesRequest())
        with invalid_field("before_time"):
            future = timestamp(START + timedelta(microseconds=1))
            await root(PruneAuditEntriesRequest(before_time=future))
        assert len(await entries(root)) == 1
