"""The authority's own memory of verdicts and callers: right like any verifier's."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.domain import secrets
from keyauthority.domain.callers import Role
from keyauthority.server import serving
from keyauthority.v1.caller_service_pb2 import RevokeCallerRequest
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    IssueKeyResponse,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    VerifyRequest,
    VerifyResponse,
)
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, Authority, LeaseClock, issue, reason, refusal, verdict
from tests.rpc.syncing import spreads, started


@pytest.fixture
def read(books: GatedBooks) -> Counter[str]:
    """How often the books were asked about each key."""
    return books.keys


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace, scopes=["a"], labels={"team": "search"})


async def verify(api: Api, secret: str, **fields: Any) -> VerifyResponse:
    response: VerifyResponse = await api(VerifyRequest(secret=secret, **fields))
    return response


class TestVerdicts:
    async def test_come_from_memory_the_second_time(
        self, root: Api, issued: IssueKeyResponse, read: Counter[str]
    ) -> None:
        """Word by word, but for the time that they hold."""
        first, *others = [await verify(root, issued.secret) for _ in range(4)]
        assert read[issued.key.id] == 1
        for one in others:
            assert one.cache_for.ToTimedelta() <= first.cache_for.ToTimedelta()
            one.cache_for.CopyFrom(first.cache_for)
            assert one == first

    async def test_pass_on_only_the_time_that_is_left(
        self, root: Api, issued: IssueKeyResponse, read: Counter[str], lease_clock: LeaseClock
    ) -> None:
        """Or two memories in a row would keep a verdict for twice as long."""
        first = await verify(root, issued.secret)
        lease_clock.ahead += 0.5
        second = await verify(root, issued.secret)
        assert read[issued.key.id] == 1
        spent = first.cache_for.ToTimedelta() - second.cache_for.ToTimedelta()
        assert spent >= timedelta(seconds=0.5)

    async def test_from_memory_are_of_the_state_applied(
        self, root: Api, workspace: str, issued: IssueKeyResponse, read: Counter[str]
    ) -> None:
        """Another key's change leaves them, and they say that they are as new as it."""
        other = await issue(root, workspace)
        assert (await verify(root, issued.secret)).revision == 0
        await root(RevokeKeyRequest(key_id=other.key.id))
        assert (await verify(root, issued.secret)).revision == 1
        assert read[issued.key.id] == 1

    @pytest.mark.parametrize("fields", [{"fresh": True}, {"fresh": True, "at_least_revision": 1}])
    async def test_come_from_the_books_when_asked_afresh(
        self,
        root: Api,
        workspace: str,
        issued: IssueKeyResponse,
        read: Counter[str],
        fields: dict[str, Any],
    ) -> None:
        """Whatever is in memory."""
        await root(RevokeKeyRequest(key_id=(await issue(root, workspace)).key.id))
        for _ in range(3):
            await verify(root, issued.secret, **fields)
        assert read[issued.key.id] == 3

    async def test_come_from_the_books_for_a_revision_not_applied(
        self,
        root: Api,
        issued: IssueKeyResponse,
        books: GatedBooks,
    ) -> None:
        """Somebody has seen a newer state than this memory: it is asked no more."""
        await verify(root, issued.secret)
        books.renewals.close()
        change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
        await spreads(change)
        old = await verify(root, issued.secret)
        new = await verify(root, issued.secret, at_least_revision=1)
        books.renewals.open()
        await change
        # Before the revocation has returned, either may be told; but never as what it is not.
        assert (old.verdict, old.revision) == (1, 0)
        assert (new.verdict, new.revision) == (4, 1)

    async def test_of_a_revision_that_is_not_reached_are_none(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """Neither from memory nor from the books."""
        await verify(root, issued.secret)
        refused = await refusal(verify(root, issued.secret, at_least_revision=7))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "REVISION_NOT_REACHED",
        )

    async def test_are_dropped_by_a_change(
        self, root: Api, workspace: str, issued: IssueKeyResponse, read: Counter[str]
    ) -> None:
        """Of the key, or of its workspace; either way, when the change returns."""
        verdicts = []
        for disabled in (True, False):
            await verify(root, issued.secret)
            key = Key(id=issued.key.id, disabled=disabled)
            await root(UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["disabled"])))
            verdicts.append(await verdict(root, issued.secret))
        for suspended in (True, False):
            await verify(root, issued.secret)
            changed = Workspace(id=workspace, suspended=suspended)
            mask = FieldMask(paths=["suspended"])
            await root(UpdateWorkspaceRequest(workspace=changed, update_mask=mask))
            verdicts.append(await verdict(root, issued.secret))
        assert verdicts == ["DISABLED", "VALID", "WORKSPACE_SUSPENDED", "VALID"]
        assert read[issued.key.id] == 5

    async def test_of_a_revoked_key_are_final(
        self, root: Api, issued: IssueKeyResponse, read: Counter[str]
    ) -> None:
        """All of its secrets, whichever was asked about before."""
        await verify(root, issued.secret)
        rotated = await root(RotateKeyRequest(key_id=issued.key.id, overlap=Duration(seconds=60)))
        await verify(root, rotated.secret)
        await root(RevokeKeyRequest(key_id=issued.key.id))
        for _ in range(2):
            assert await verdict(root, issued.secret) == "REVOKED"
            assert await verdict(root, rotated.secret) == "REVOKED"
        assert (await verify(root, issued.secret)).key_revoked

    async def test_of_a_whole_key_take_its_other_secrets(
        self, root: Api, issued: IssueKeyResponse, books: GatedBooks
    ) -> None:
        """At once, also if the change itself is not heard of yet: nobody who was told of the one
        secret is told another thing of the other.
        """
        rotation = RotateKeyRequest(key_id=issued.key.id, overlap=Duration(seconds=60))
        rotated = await root(rotation)
        for secret in (issued.secret, rotated.secret):
            assert await verdict(root, secret) == "VALID"
        books.renewals.close()
        change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
        await spreads(change)
        assert await verdict(root, issued.secret, fresh=True) == "REVOKED"
        assert await verdict(root, rotated.secret) == "REVOKED"
        books.renewals.open()
        await change

    async def test_overtaken_by_a_change_are_not_kept(
        self, root: Api, issued: IssueKeyResponse, books: GatedBooks
    ) -> None:
        """Read before it, and read again: whoever asked, and whoever asks next, is told the newer one."""
        books.answers.close()
        early = started(verdict(root, issued.secret))
        await books.answers.reached.wait()
        await root(UpdateKeyRequest(key=Key(id=issued.key.id, disabled=True)))
        books.answers.open()
        assert await early == "DISABLED"
        assert await verdict(root, issued.secret) == "DISABLED"

    async def test_end_with_their_key(
        self, root: Api, workspace: str, read: Counter[str], lease_clock: LeaseClock
    ) -> None:
        """Memory keeps an answer no longer than it holds."""
        brief = await issue(root, workspace, ttl={"nanos": 500_000_000})
        await verify(root, brief.secret)
        lease_clock.ahead += 0.5
        await verify(root, brief.secret)
        assert read[brief.key.id] == 2

    async def test_on_noise_are_not_kept(self, root: Api, read: Counter[str]) -> None:
        """They are as fast without, and take no room from real ones."""
        for _ in range(3):
            assert await verdict(root, "sk-optk-noise") == "MALFORMED"
        assert read[""] == 3

    async def test_on_the_unknown_are_kept(self, root: Api, read: Counter[str]) -> None:
        """For the two seconds that they hold."""
        key_id = secrets.new_id("key")
        stray = secrets.mint(key_id).reveal()
        for _ in range(3):
            assert await verdict(root, stray) == "UNKNOWN"
        assert read[key_id] == 1

    async def test_of_a_batch_are_all_of_one_revision(
        self, root: Api, workspace: str, issued: IssueKeyResponse, read: Counter[str]
    ) -> None:
        """All from memory, or all from the books."""
        other = await issue(root, workspace)
        await verify(root, issued.secret)
        await root(RevokeKeyRequest(key_id=(await issue(root, workspace, "third")).key.id))
        both = BatchVerifyRequest(secrets=[issued.secret, other.secret])
        for _ in range(2):
            assert {one.revision for one in (await root(both)).answers} == {1}
        assert read == {issued.key.id: 2, other.key.id: 1}


class TestCallers:
    @pytest.fixture
    def looked_up(self, books: GatedBooks) -> Counter[str]:
        """How often the books were asked for each caller."""
        return books.callers

    async def test_come_from_memory_the_second_time(
        self, authority: Authority, looked_up: Counter[str]
    ) -> None:
        """One look-up for any number of calls."""
        caller = await authority.caller(Role.VERIFIER)
        for _ in range(3):
            await verify(caller, "x")
        assert looked_up[caller.caller_id] == 1

    async def test_are_dropped_when_they_are_revoked(
        self, authority: Authority, looked_up: Counter[str]
    ) -> None:
        """And no other; when the revocation returns, the token opens nothing."""
        gone, stays = [await authority.caller(Role.VERIFIER) for _ in range(2)]
        for caller in (gone, stays):
            await verify(caller, "x")
        await authority.root(RevokeCallerRequest(caller_id=gone.caller_id))
        assert await reason(verify(gone, "x")) == "CREDENTIAL_INVALID"
        await verify(stays, "x")
        assert looked_up[stays.caller_id] == 1

    async def test_that_are_none_are_looked_up_once_in_a_while(
        self, authority: Authority, looked_up: Counter[str]
    ) -> None:
        """The same guess, again and again, has the books read once in two seconds."""
        caller_id = secrets.new_id("caller")
        token = secrets.mint(caller_id, secrets.TOKEN_PREFIX).reveal()
        stranger = Api(authority.root.channel, token)
        for _ in range(2):
            assert await reason(verify(stranger, "x")) == "CREDENTIAL_INVALID"
        assert looked_up[caller_id] == 1

    async def test_are_never_taken_for_secrets(
        self, authority: Authority, issued: IssueKeyResponse
    ) -> None:
        """A key's secret opens nothing here, a token is no key, whatever is in memory."""
        await verify(authority.root, issued.secret)
        as_token = Api(authority.root.channel, issued.secret)
        assert await reason(verify(as_token, "x")) == "CREDENTIAL_INVALID"
        assert await verdict(authority.root, authority.root.token) == "MALFORMED"


async def test_without_a_lease_everything_comes_from_the_books(
    root: Api, issued: IssueKeyResponse, books: GatedBooks, lease_clock: LeaseClock
) -> None:
    """Memory counts for as long as its session does."""
    await verify(root, issued.secret)
    books.renewals.close()
    lease_clock.ahead += 3  # Leases last as long.
    for _ in range(2):
        assert await verdict(root, issued.secret) == "VALID"
    assert books.keys[issued.key.id] == 3


async def test_a_restart_begins_with_nothing(
    authority: Authority,
    issued: IssueKeyResponse,
    books: GatedBooks,
    running: AsyncExitStack,
    clock: ManualClock,
) -> None:
    """The verdict is read again, and is right."""
    await verify(authority.root, issued.secret)
    await running.aclose()
    served = serving(authority.settings, clock, open_books=books.open)
    port = await running.enter_async_context(served)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        root = Api(channel, authority.root.token)
        assert await verdict(root, issued.secret) == "VALID"
        assert await verdict(root, issued.secret) == "VALID"
    assert books.keys[issued.key.id] == 2


async def test_a_batch_in_memory_is_answered_as_from_the_books(
    root: Api, workspace: str, read: Counter[str]
) -> None:
    """Each in its place, of one revision, long answers and short ones; a stranger takes it there."""
    many = [f"scope-{number}" for number in range(20)]
    issued = [
        await issue(root, workspace, "ci", scopes=scopes, labels={"team": "search"})
        for scopes in ([], many, ["a"])
    ]
    await root(RevokeKeyRequest(key_id=issued[0].key.id))
    request = BatchVerifyRequest(secrets=[one.secret for one in issued] * 2)
    first = await root(request)
    assert read == Counter({one.key.id: 2 for one in issued})

    again = await root(request)

    assert read.total() == 6
    for answers in (first, again):
        for one in answers.answers:
            assert one.cache_for.ToTimedelta() <= timedelta(seconds=60)
            one.ClearField("cache_for")
    assert again == first
    request.secrets.append(secrets.mint("key_0123456789ABCDEF").reveal())
    assert [one.verdict for one in (await root(request)).answers[:6]] == [
        one.verdict for one in first.answers
    ]
    assert read.total() == 6 + 7
