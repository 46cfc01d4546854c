"""Sync and Leave over the wire: who is told what, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Actor, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import SESSIONS_PER_CALLER
from keyauthority.rpc.admission import Room
from keyauthority.rpc.service import Parts, Service
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.server import OpenBooks
from keyauthority.storage.sql.leases import MOST_CHANGES
from keyauthority.v1.caller_service_pb2 import RevokeCallerRequest
from keyauthority.v1.key_service_pb2 import (
    ImportedKey,
    ImportKeysRequest,
    IssueKeyResponse,
    RevokeKeyRequest,
    RevokeKeysRequest,
)
from keyauthority.v1.operations_service_pb2 import ListSessionsRequest
from keyauthority.v1.verification_service_pb2 import (
    LeaveRequest,
    LeaveResponse,
    SyncRequest,
    Verdict,
    VerifyRequest,
    VerifyResponse,
)
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import (
    Api,
    Authority,
    file_of,
    invalid_field,
    issue,
    reason,
    refusal,
    service,
    services_with,
    until_counted,
)
from tests.rpc.syncing import acknowledging, join, joined, sessions, spreads, started

MINUTE = timedelta(minutes=1)


@pytest.fixture
def lease() -> timedelta:
    """Longer than any of these tests: nothing is waited out."""
    return MINUTE


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


class TestJoining:
    async def test_is_told_the_terms(self, root: Api, issued: IssueKeyResponse) -> None:
        """Session, epoch, head and lease; and to forget whatever it knew."""
        await root(RevokeKeyRequest(key_id=issued.key.id))
        granted = await join(root)
        assert granted.session_id.startswith("session_")
        assert (granted.epoch, granted.revision) == (1, 1)
        assert granted.lease.ToTimedelta() == MINUTE
        assert granted.reset
        assert not granted.subjects
        assert not granted.foreign_secrets

    async def test_is_answered_at_once(self, root: Api) -> None:
        """Also with a wait: it has no lease yet to wait under."""
        first, second = [
            await root(SyncRequest(wait=Duration(seconds=15)), timeout=5) for _ in range(2)
        ]
        assert first.session_id != second.session_id

    async def test_again_with_what_is_known_is_told_the_rest(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """A verifier whose session was lost keeps its cache and hears what changed since."""
        await root(RevokeKeyRequest(key_id=issued.key.id))
        granted = await root(SyncRequest(epoch=1, revision=0))
        assert (granted.reset, list(granted.subjects)) == (False, [issued.key.id])


class TestPolling:
    async def test_is_held_until_something_changes(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """Then it is told at once what did."""
        granted = await joined(root)
        poll = started(root(acknowledging(granted, MINUTE)))
        await spreads(poll)
        change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
        news = await poll
        assert (news.session_id, news.revision) == (granted.session_id, 1)
        assert (news.reset, list(news.subjects)) == (False, [issued.key.id])
        await root(acknowledging(news))
        await change

    async def test_is_told_what_changed_before_at_once(
        self, root: Api, workspace: str, issued: IssueKeyResponse
    ) -> None:
        """Everything since what it acknowledges, each subject once, in the order of the changes."""
        granted = await joined(root)
        other = await issue(root, workspace)
        ids = [other.key.id, issued.key.id]
        change = started(root(RevokeKeysRequest(key_ids=ids)))
        await spreads(change)
        news = await root(acknowledging(granted, MINUTE), timeout=5)
        assert (news.revision, list(news.subjects)) == (2, ids)
        await root(acknowledging(news))
        await change

    async def test_of_too_many_changes_is_told_to_forget(self, root: Api, workspace: str) -> None:
        """Beyond a thousand a reset is cheaper for both."""
        secrets = [f"imported-secret-number-{number}" for number in range(MOST_CHANGES)]
        keys = [ImportedKey(secret=secret, name="a key") for secret in secrets]
        imported = await root(ImportKeysRequest(workspace_id=workspace, keys=keys))
        granted = await joined(root)
        ids = [key.id for key in imported.keys]
        change = started(root(RevokeKeysRequest(key_ids=ids)))
        await spreads(change)
        news = await root(acknowledging(granted))
        assert (news.revision, news.reset, list(news.subjects)) == (MOST_CHANGES + 1, False, ids)
        one_more = started(root(RevokeKeyRequest(key_id=(await issue(root, workspace)).key.id)))
        await spreads(one_more)
        news = await root(acknowledging(granted))
        assert (news.revision, news.reset, list(news.subjects)) == (MOST_CHANGES + 2, True, [])
        await root(acknowledging(news))
        await asyncio.gather(change, one_more)

    async def test_of_changes_that_are_forgotten_is_told_to_forget(
        self, authority: Authority, issued: IssueKeyResponse
    ) -> None:
        """Only so many are kept."""
        granted = await joined(authority.root)
        change = started(authority.root(RevokeKeyRequest(key_id=issued.key.id)))
        await spreads(change)
        with closing(sqlite3.connect(file_of(authority.settings))) as file:
            file.execute("DELETE FROM change")
            file.commit()
        news = await authority.root(acknowledging(granted))
        assert (news.revision, news.reset) == (1, True)
        await authority.root(acknowledging(news))
        await change

    @pytest.mark.parametrize("lease", [timedelta(milliseconds=300)])
    async def test_is_held_for_a_third_of_the_lease_at_most(self, root: Api) -> None:
        """However long it would wait: it has to renew the lease in time."""
        granted = await joined(root)
        quiet = await root(acknowledging(granted, MINUTE), timeout=10)
        assert (quiet.revision, list(quiet.subjects)) == (granted.revision, [])
        assert not quiet.reset

    async def test_without_a_wait_is_answered_at_once(self, root: Api) -> None:
        """That is a renewal."""
        assert await root(acknowledging(await joined(root)), timeout=5)

    @pytest.mark.parametrize(
        "claim", [{"epoch": 1, "revision": 2**63 - 1}, {"epoch": 2**63 - 1}, {"epoch": 7}]
    )
    async def test_with_an_impossible_claim_is_told_to_forget(
        self, root: Api, issued: IssueKeyResponse, claim: dict[str, Any]
    ) -> None:
        """A revision above the head, or another epoch, was never told by these books: it counts as
        nothing acknowledged, until the verifier says that it has forgotten.
        """
        granted = await joined(root)
        news = await root(SyncRequest(session_id=granted.session_id, **claim), timeout=5)
        assert news.reset
        assert (news.epoch, news.revision) == (1, 0)
        change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
        await spreads(change)
        await root(acknowledging(await root(acknowledging(news))))
        assert (await change).receipt.sessions_acknowledged == 2


class TestRefusals:
    async def test_of_an_unknown_session(self, root: Api) -> None:
        """It was removed, or was never there: the verifier joins anew."""
        refused = await refusal(root(SyncRequest(session_id="session_nowhere", epoch=1)))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert refused.reason == "SESSION_NOT_FOUND"

    async def test_of_another_callers_session(
        self, authority: Authority, issued: IssueKeyResponse
    ) -> None:
        """Nobody acknowledges for others, or ends their sessions."""
        granted = await joined(authority.root)
        other = await authority.caller(Role.VERIFIER)
        assert await reason(other(acknowledging(granted))) == "SESSION_NOT_FOUND"
        await other(LeaveRequest(session_id=granted.session_id))
        assert await sessions(authority.root) == [granted.session_id]

    @pytest.mark.parametrize(
        ("field", "fields"),
        [
            ("revision", {"revision": -1}),
            ("epoch", {"epoch": -1}),
            ("wait", {"wait": Duration(seconds=-1)}),
            ("wait", {"wait": Duration(nanos=-1_000)}),
            ("wait", {"wait": Duration(seconds=2**62)}),
            ("name", {"name": "x" * 101}),
            ("name", {"name": "edge\n7"}),
        ],
    )
    async def test_of_fields_out_of_bounds(
        self, root: Api, field: str, fields: dict[str, Any]
    ) -> None:
        """They are told which."""
        with invalid_field(field):
            await root(SyncRequest(**fields))
        assert await sessions(root) == []

    async def test_of_more_sessions_than_a_caller_may_have(self, authority: Authority) -> None:
        """The new one is refused and none is put out; other callers are not affected."""
        verifier = await authority.caller(Role.VERIFIER)
        granted = await asyncio.gather(*(join(verifier) for _ in range(SESSIONS_PER_CALLER)))
        refused = await refusal(verifier(SyncRequest()))
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.reason == "TOO_MANY_SESSIONS"
        assert set(await sessions(authority.root)) == {one.session_id for one in granted}
        await join(authority.root)
        await verifier(LeaveRequest(session_id=granted[0].session_id))
        await join(verifier)

    @pytest.mark.parametrize("lease", [timedelta(milliseconds=1200)])
    async def test_of_a_caller_that_is_revoked_while_it_waits(
        self, authority: Authority, registry: CollectorRegistry
    ) -> None:
        """No lease is granted to it, and the one that it has is waited out."""
        verifier = await authority.caller(Role.VERIFIER)
        poll = started(refusal(verifier(acknowledging(await joined(verifier), MINUTE))))
        await until_counted(registry, "syncs_held", 1)
        revoking = started(authority.root(RevokeCallerRequest(caller_id=verifier.caller_id)))
        refused = await poll
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED
        assert refused.reason == "CREDENTIAL_INVALID"
        assert (await revoking).receipt.leases_waited_out == 1

    async def test_of_whoever_is_no_verifier(self, authority: Authority) -> None:
        """Like the rest of the service."""
        issuer = await authority.caller(Role.ISSUER)
        assert await reason(issuer(SyncRequest())) == "ROLE_MISSING"
        assert await reason(issuer(LeaveRequest())) == "ROLE_MISSING"


class Held(VerificationServicer):
    """A question takes until somebody leaves."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._left = asyncio.Event()

    async def Verify(self, request: VerifyRequest, actor: Actor) -> VerifyResponse:
        await self._left.wait()
        return await super().Verify(request, actor)

    async def Leave(self, request: LeaveRequest, actor: Actor) -> LeaveResponse:
        self._left.set()
        return await super().Leave(request, actor)


class TestOnePlaceForQuestions:
    @pytest.fixture
    def services(self) -> Sequence[Service]:
        verification = service("VerificationService")
        return services_with(replace(verification, room=Room("verifying", 1), servicer=Held))

    async def test_syncs_go_on_behind_a_flood_of_questions(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """Or a busy authority would lose the verifiers that make it less so."""
        question = VerifyRequest(secret=issued.secret, fresh=True)
        questions = [started(root(question)) for _ in range(2)]
        [refused], [held] = await asyncio.wait(questions, return_when=asyncio.FIRST_COMPLETED)
        assert await reason(refused) == "OVERLOADED"
        granted = await joined(root)
        await root(LeaveRequest(session_id=granted.session_id))
        assert (await held).verdict == Verdict.VERDICT_VALID


class TestTwoPlacesForSync:
    @pytest.fixture
    def services(self) -> Sequence[Service]:
        verification = service("VerificationService")
        two = dict.fromkeys(verification.session_methods, Room("syncing", 2))
        return services_with(replace(verification, session_methods=two))

    async def test_syncs_have_places_of_their_own(
        self, root: Api, issued: IssueKeyResponse, registry: CollectorRegistry
    ) -> None:
        """Polls that are held take none from questions, however many they are."""
        first, second = await joined(root), await joined(root)
        polls = [started(root(acknowledging(one, MINUTE))) for one in (first, second)]
        await until_counted(registry, "syncs_held", 2)
        assert await reason(root(SyncRequest())) == "OVERLOADED"
        assert await root(VerifyRequest(secret=issued.secret))
        for poll in polls:
            poll.cancel()


class TestListing:
    async def test_tells_who_holds_leases_and_who_is_slow(
        self, authority: Authority, issued: IssueKeyResponse, clock: ManualClock
    ) -> None:
        """Oldest first, the authority's own before all: by name, since when, up to where."""
        verifier = await authority.caller(Role.VERIFIER)
        first = await join(verifier, "edge 1")
        clock.time += timedelta(seconds=5)
        second = await verifier(acknowledging(await join(verifier, "edge 2")))
        change = started(authority.root(RevokeKeyRequest(key_id=issued.key.id)))
        await spreads(change)
        news = await verifier(acknowledging(second))
        await verifier(acknowledging(news))
        listed = await authority.root(ListSessionsRequest())
        own, one, two = listed.sessions
        assert (own.caller_id, own.caller_name, own.revision) == ("", "", 1)
        assert own.name.startswith("authority ")
        assert [(s.id, s.name, s.revision) for s in (one, two)] == [
            (first.session_id, "edge 1", 0),
            (second.session_id, "edge 2", 1),
        ]
        assert one.caller_id == two.caller_id == verifier.caller_id
        assert one.caller_name == two.caller_name
        assert one.caller_name.startswith("caller ")
        assert two.create_time.seconds - one.create_time.seconds == 5
        assert (listed.epoch, listed.revision) == (1, 1)
        assert listed.lease.ToTimedelta() == MINUTE
        assert listed.longest_wait.ToTimedelta() > MINUTE
        await verifier(LeaveRequest(session_id=first.session_id))
        await change

    async def test_is_for_admins(self, authority: Authority) -> None:
        """Like the rest of the service."""
        verifier = await authority.caller(Role.VERIFIER)
        assert await reason(verifier(ListSessionsRequest())) == "ROLE_MISSING"


@pytest.fixture
def books() -> GatedBooks:
    return GatedBooks()


class TestWhileVerdictsFail:
    @pytest.fixture
    def open_books(self, books: GatedBooks) -> OpenBooks:
        return books.open

    async def test_a_lease_is_renewed(
        self, root: Api, books: GatedBooks, issued: IssueKeyResponse
    ) -> None:
        """A sync asks nothing of the keyring, nor of the keys."""
        books.failure = KeyAuthorityError(Reason.KEYRING_MISMATCH, "as the test wants")
        assert await reason(root(VerifyRequest(secret=issued.secret))) == "KEYRING_MISMATCH"
        assert (await joined(root)).session_id
