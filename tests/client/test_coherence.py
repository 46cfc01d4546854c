"""Verifiers that answer from memory, and a real authority that changes its mind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.client import Secret, Verdict, VerificationUnavailable, Verifier
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
from keyauthority.v1.operations_service_pb2 import ListSessionsRequest
from keyauthority.v1.verification_service_pb2 import SyncRequest
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.client.parts import leased, until
from tests.gateway.parts import new_secret
from tests.rpc.parts import Api, Authority, eventually, issue, set_lease, settings_in

LEASE = timedelta(milliseconds=400)

Join = Callable[..., Awaitable[Verifier]]


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    """What the test has running; closing it stops the authority before the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def authority(tmp_path: Path, running: AsyncExitStack) -> AsyncIterator[Authority]:
    """A fresh installation with short leases."""
    settings = settings_in(tmp_path)
    await set_lease(settings, LEASE)
    port = await running.enter_async_context(serving(settings))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Authority(settings, port, Api(channel, settings.root_token.read_text().strip()))


@pytest.fixture
async def workspace(authority: Authority) -> str:
    return await authority.workspace()


@pytest.fixture
async def issued(authority: Authority, workspace: str) -> IssueKeyResponse:
    return await issue(authority.root, workspace, "ci", scopes=["a"])


@pytest.fixture
async def join(authority: Authority) -> AsyncIterator[Join]:
    """Makes verifiers that hold a lease."""
    async with AsyncExitStack() as stack:

        async def joined(token: str = authority.root.token, **given: Any) -> Verifier:
            address = f"127.0.0.1:{authority.port}"
            return await stack.enter_async_context(leased(address, token, **given))

        yield joined


@pytest.fixture
async def verifier(join: Join) -> Verifier:
    return await join()


def switched(issued: IssueKeyResponse, *, disabled: bool) -> UpdateKeyRequest:
    key = Key(id=issued.key.id, disabled=disabled)
    return UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["disabled"]))


async def verdicts(verifier: Verifier, *presented: str) -> list[Verdict]:
    return [(await verifier.verify(secret)).verdict for secret in presented]


async def test_a_revoked_key_is_refused_by_every_verifier(
    authority: Authority, issued: IssueKeyResponse, join: Join
) -> None:
    """Right after RevokeKey returned: all had accepted it from memory, none does any more."""
    verifiers = [await join() for _ in range(4)]
    for verifier in verifiers:
        await verifier.verify(issued.secret)
    before = [verifier.peek(issued.secret) for verifier in verifiers]
    assert all(one is not None and one.verdict is Verdict.VALID for one in before)
    revoked = await authority.root(RevokeKeyRequest(key_id=issued.key.id))
    assert all(one is not None and not one.holds() for one in before)
    assert [await verdicts(one, issued.secret) for one in verifiers] == [[Verdict.REVOKED]] * 4
    # These, and the authority's own.
    assert (revoked.receipt.sessions_acknowledged, revoked.receipt.leases_waited_out) == (5, 0)


async def test_a_verdict_in_hand_tells_that_it_holds_no_more(
    authority: Authority, workspace: str, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """Whoever waited between the question and the deed asks it, without a call; others' hold on."""
    other = await issue(authority.root, workspace, "other")
    verdict, kept = [await verifier.verify(one.secret) for one in (issued, other)]
    assert verdict.holds()
    await authority.root(UpdateKeyRequest(key=Key(id=issued.key.id, name="renamed")))
    assert not verdict.holds()
    assert kept.holds()
    again = await verifier.verify(issued.secret)
    assert again.key is not None
    assert (again.verdict, again.key.name) == (Verdict.VALID, "renamed")


async def test_a_retired_secret_is_refused_and_its_heir_accepted(
    authority: Authority, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """A rotation without overlap: both by the next question."""
    assert await verdicts(verifier, issued.secret) == [Verdict.VALID]
    rotated = await authority.root(RotateKeyRequest(key_id=issued.key.id))
    both = await verdicts(verifier, issued.secret, rotated.secret)
    assert both == [Verdict.REVOKED, Verdict.VALID]
    await authority.root(RevokeKeyRequest(key_id=issued.key.id))
    both = await verdicts(verifier, issued.secret, rotated.secret)
    assert both == [Verdict.REVOKED, Verdict.REVOKED]


async def test_a_disabled_key_is_refused_until_it_is_enabled(
    authority: Authority, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """Both ways by the next question: a refusal from memory ends like an acceptance."""
    told = []
    for disabled in (False, True, False):
        await authority.root(switched(issued, disabled=disabled))
        told += await verdicts(verifier, issued.secret, issued.secret)
    valid, off = Verdict.VALID, Verdict.DISABLED
    assert told == [valid, valid, off, off, valid, valid]
    assert verifier.counters.hits >= 3


async def test_a_suspended_workspace_is_refused_until_it_is_resumed(
    authority: Authority, workspace: str, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """All of its keys, and no other's."""
    stranger = await issue(authority.root, await authority.workspace("other"))
    both = issued.secret, (await issue(authority.root, workspace, "second")).secret
    told = []
    for suspended in (False, True, False):
        await authority.root(
            UpdateWorkspaceRequest(
                workspace=Workspace(id=workspace, suspended=suspended),
                update_mask=FieldMask(paths=["suspended"]),
            )
        )
        told.append(await verdicts(verifier, *both, stranger.secret))
    valid, off = Verdict.VALID, Verdict.WORKSPACE_SUSPENDED
    assert told == [[valid] * 3, [off, off, valid], [valid] * 3]


async def test_a_change_between_two_reads_is_not_lost(
    authority: Authority, issued: IssueKeyResponse, join: Join
) -> None:
    """Two changes to one key in quick succession: the verdict is of the second."""
    verifiers = [await join() for _ in range(2)]
    for _ in range(5):
        for disabled in (True, False):
            request = switched(issued, disabled=disabled)
            asking = [asyncio.create_task(verifier.verify(issued.secret)) for verifier in verifiers]
            await authority.root(request)
            wanted = Verdict.DISABLED if disabled else Verdict.VALID
            told = [await verdicts(verifier, issued.secret) for verifier in verifiers]
            assert told == [[wanted]] * 2
            await asyncio.gather(*asking)


async def test_a_key_issued_a_moment_ago_is_accepted(
    authority: Authority, workspace: str, verifier: Verifier
) -> None:
    """Issuing is told to nobody: a secret never asked about before is asked about."""
    for _ in range(3):
        issued = await issue(authority.root, workspace)
        assert await verdicts(verifier, issued.secret) == [Verdict.VALID]


async def test_a_verifier_that_is_cut_off_refuses_to_decide(
    issued: IssueKeyResponse, verifier: Verifier, running: AsyncExitStack
) -> None:
    """It accepts from memory while its lease lasts, and not beyond."""
    verdict = await verifier.verify(issued.secret)
    await running.aclose()
    await until(lambda: not verifier.lease_held)
    assert verifier.peek(issued.secret) is None
    with pytest.raises(VerificationUnavailable):
        await verifier.verify(issued.secret)
    assert verdict.alive


async def test_a_revoked_key_stays_refused_without_an_authority(
    authority: Authority, issued: IssueKeyResponse, verifier: Verifier, running: AsyncExitStack
) -> None:
    """REVOKED is final: it needs neither lease nor call."""
    await authority.root(RevokeKeyRequest(key_id=issued.key.id))
    assert await verdicts(verifier, issued.secret) == [Verdict.REVOKED]
    await running.aclose()
    await until(lambda: not verifier.lease_held)
    assert await verdicts(verifier, issued.secret) == [Verdict.REVOKED]


async def test_a_verifier_whose_credential_is_revoked_refuses_to_decide(
    authority: Authority, issued: IssueKeyResponse, join: Join
) -> None:
    """When RevokeCaller returned its memory counts for nothing."""
    caller = await authority.caller(Role.VERIFIER)
    verifier = await join(caller.token)
    assert await verdicts(verifier, issued.secret) == [Verdict.VALID]
    await authority.root(RevokeCallerRequest(caller_id=caller.caller_id))
    assert not verifier.lease_held
    with pytest.raises(VerificationUnavailable):
        await verifier.verify(issued.secret)


async def test_a_verifier_outlives_a_restart_of_the_authority(
    authority: Authority, issued: IssueKeyResponse, running: AsyncExitStack, tmp_path: Path
) -> None:
    """It joins anew by itself, and is told of changes as before."""
    await running.aclose()
    socket = f"unix:{tmp_path}/socket"
    settings = settings_in(tmp_path, listen=socket)
    async with AsyncExitStack() as second:
        await second.enter_async_context(serving(settings))
        async with leased(socket, authority.root.token) as verifier:
            assert await verdicts(verifier, issued.secret) == [Verdict.VALID]
            await second.aclose()
            await until(lambda: not verifier.lease_held)
            await second.enter_async_context(serving(settings))
            await until(lambda: verifier.lease_held)
            assert verifier.peek(issued.secret) is not None
            async with grpc.aio.insecure_channel(socket) as channel:
                root = Api(channel, authority.root.token)
                await root(RevokeKeyRequest(key_id=issued.key.id))
            assert await verdicts(verifier, issued.secret) == [Verdict.REVOKED]


async def names(root: Api) -> list[str]:
    return [one.name for one in (await root(ListSessionsRequest())).sessions if one.caller_id]


async def test_closing_ends_the_session(authority: Authority) -> None:
    """Nobody waits for a verifier that has left; while it is there operators see its name."""
    address = f"127.0.0.1:{authority.port}"
    async with leased(address, authority.root.token, name="edge 7"):
        assert await names(authority.root) == ["edge 7"]
    assert await names(authority.root) == []


async def test_a_verifier_without_a_cache_is_no_session(
    authority: Authority, issued: IssueKeyResponse, join: Join
) -> None:
    """It sees every change all the same, since it asks the books each time."""
    async with Verifier(
        f"127.0.0.1:{authority.port}", token=Secret(authority.root.token), cache=False, timeout=5
    ) as verifier:
        assert await verdicts(verifier, issued.secret) == [Verdict.VALID]
        assert await names(authority.root) == []
        await authority.root(RevokeKeyRequest(key_id=issued.key.id))
        assert await verdicts(verifier, issued.secret) == [Verdict.REVOKED]
        assert not verifier.lease_held


async def test_on_change_hears_of_what_is_dropped(
    authority: Authority, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """By then nothing of it is known any more."""
    await verifier.verify(issued.secret)
    heard: list[Any] = []

    def changed(subjects: frozenset[str] | None) -> None:
        heard.append((subjects, verifier.peek(issued.secret)))

    verifier.listeners.append(changed)
    await authority.root(RevokeKeyRequest(key_id=issued.key.id))
    assert heard == [(frozenset({issued.key.id}), None)]


async def test_a_silent_session_is_waited_out_by_the_change_alone(
    authority: Authority, issued: IssueKeyResponse, verifier: Verifier
) -> None:
    """A verifier that joined and never spoke again delays a revocation, and no verdict."""
    await authority.root(SyncRequest(name="silent"))
    await verifier.verify(issued.secret)
    revoking = asyncio.ensure_future(authority.root(RevokeKeyRequest(key_id=issued.key.id)))

    async def refused() -> bool:
        return await verdicts(verifier, issued.secret) == [Verdict.REVOKED]

    await eventually(refused)
    revoked = await revoking
    assert revoked.receipt.leases_waited_out == 1
    assert await verdicts(verifier, new_secret()) == [Verdict.UNKNOWN]
