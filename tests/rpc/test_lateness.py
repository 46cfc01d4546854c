"""Verifiers that changes wait for again and again: they are granted less, and say so in the list."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.coherence.allowances import LATE
from keyauthority.coherence.fence import LOOK
from keyauthority.domain.callers import Role
from keyauthority.replica.fence import POLL
from keyauthority.replica.sweeping import SWEPT_EVERY
from keyauthority.server import Pace
from keyauthority.v1.key_service_pb2 import IssueKeyResponse, RevokeKeyRequest, RevokeKeyResponse
from keyauthority.v1.operations_service_pb2 import ListSessionsRequest, Session
from keyauthority.v1.verification_service_pb2 import SyncRequest
from tests.rpc.parts import Api, Authority, LeaseClock, eventually, issue, until_counted
from tests.rpc.syncing import acknowledging, join, joined, spreads, started

SECOND = timedelta(seconds=1)
NONE = timedelta()


@pytest.fixture
def lease() -> timedelta:
    """W is 1.2 s."""
    return SECOND


async def revoked(root: Api, workspace: str) -> RevokeKeyResponse:
    issued: IssueKeyResponse = await issue(root, workspace)
    response: RevokeKeyResponse = await root(RevokeKeyRequest(key_id=issued.key.id))
    return response


async def listed(root: Api, session_id: str) -> Session:
    sessions = (await root(ListSessionsRequest())).sessions
    [session] = [one for one in sessions if one.id == session_id]
    assert isinstance(session, Session)
    return session


async def until_late(root: Api, session_id: str, times: int) -> None:
    """Returns when it is written down that the session was late so often."""

    async def is_noted() -> bool:
        return (await listed(root, session_id)).times_late == times

    await eventually(is_noted)


async def outlast(
    change: asyncio.Future[RevokeKeyResponse], api: Api, sync: SyncRequest, clock: LeaseClock
) -> RevokeKeyResponse:
    """What *change* is answered when leases are over; all the while a verifier goes on with *sync*."""
    while not change.done():
        await api(sync)
        clock.ahead += LOOK
        await asyncio.sleep(POLL)
    return await change


def counted(registry: CollectorRegistry, caller_id: str, reason: str) -> float:
    labels = {"caller": caller_id, "reason": reason}
    return registry.get_sample_value("keyauthority_late_verifiers_total", labels) or 0.0


class TestLate:
    @pytest.fixture
    def pace(self) -> Pace:
        """Sessions are looked after all the time."""
        return Pace(sweeping=0.01)

    async def test_it_is_granted_half_as_long_a_lease(
        self,
        authority: Authority,
        workspace: str,
        registry: CollectorRegistry,
        lease_clock: LeaseClock,
    ) -> None:
        """From its next renewal on, though it acknowledges before its lease is over."""
        verifier = await authority.caller(Role.VERIFIER)
        granted = await joined(verifier)
        change = started(revoked(authority.root, workspace))
        news = await verifier(acknowledging(granted, SECOND / 4))
        while (await listed(authority.root, granted.session_id)).times_late == 0:
            await verifier(acknowledging(granted))
            lease_clock.ahead += LOOK
            await asyncio.sleep(POLL)  # What acknowledges nothing brings no look forward.
        assert not change.done()
        after = await verifier(acknowledging(news))
        assert (await change).receipt.leases_waited_out == 0
        assert after.lease.ToTimedelta() == SECOND / 2
        session = await listed(authority.root, granted.session_id)
        assert (session.lease.ToTimedelta(), session.times_late) == (SECOND / 2, 1)
        assert counted(registry, verifier.caller_id, "late") == 1

    async def test_again_and_again_it_gets_none_and_no_change_waits(
        self, root: Api, workspace: str, lease_clock: LeaseClock
    ) -> None:
        """It goes on with Sync, and is told of every change."""
        granted = await joined(root)
        for number in count(1):
            # It acknowledges each when its lease is over, and not before.
            change = started(revoked(root, workspace))
            sync = acknowledging(granted)
            receipt = (await outlast(change, root, sync, lease_clock)).receipt
            granted = await root(sync)
            granted = await root(acknowledging(granted))
            if receipt.leases_waited_out == 0:
                break
            assert number < 6

            await until_late(root, granted.session_id, number)
            # Until the longer lease is over it is that one which changes wait for.
            for _ in range(12):
                granted = await root(acknowledging(granted))
                lease_clock.ahead += 0.15
                await asyncio.sleep(LATE / 12)  # Nobody is found late again sooner.
        session = await listed(root, granted.session_id)
        assert (session.lease.ToTimedelta(), granted.lease.ToTimedelta()) == (NONE, NONE)
        assert receipt.waited.ToTimedelta() < SECOND / 4
        before = granted.revision
        poll = started(root(acknowledging(granted, SECOND)))
        await spreads(poll)
        await revoked(root, workspace)
        assert (await poll).revision == before + 1

    async def test_who_is_quick_keeps_its_lease(
        self, root: Api, workspace: str, lease_clock: LeaseClock
    ) -> None:
        """Also beside one that is not, and across a far way."""
        slow, quick = await joined(root), await joined(root)
        change = started(revoked(root, workspace))
        news = await root(acknowledging(quick, SECOND))
        await root(acknowledging(slow))
        lease_clock.ahead += 2 * LOOK
        quick = await root(acknowledging(news))
        await outlast(change, root, acknowledging(slow), lease_clock)
        assert quick.lease.ToTimedelta() == SECOND
        for session in (await root(ListSessionsRequest())).sessions:
            late = session.id == slow.session_id
            assert (session.times_late, session.lease.ToTimedelta() < SECOND) == (int(late), late)


class TestNonsense:
    async def test_it_is_granted_none_at_once(
        self,
        authority: Authority,
        workspace: str,
        registry: CollectorRegistry,
        lease_clock: LeaseClock,
    ) -> None:
        """And while it goes on with it no change waits, once the lease from before is over."""
        verifier = await authority.caller(Role.VERIFIER)
        granted = await joined(verifier)
        nonsense = acknowledging(granted)
        nonsense.revision += 1_000
        answer = await verifier(nonsense)
        assert (answer.reset, answer.lease.ToTimedelta()) == (True, NONE)
        session = await listed(authority.root, granted.session_id)
        assert (session.lease.ToTimedelta(), session.times_late) == (NONE, 1)

        change = started(revoked(authority.root, workspace))
        first = (await outlast(change, verifier, nonsense, lease_clock)).receipt
        assert first.leases_waited_out == 1
        # Two rounds of who looks after sessions.
        for _ in range(12):
            await verifier(nonsense)
            lease_clock.ahead += 0.05
            await asyncio.sleep(SWEPT_EVERY / 5)
        # The time that was put forward ended the authority's own lease, too.
        await until_counted(registry, "lease_held", 1)
        second = (await revoked(authority.root, workspace)).receipt
        assert (second.leases_waited_out, second.sessions_acknowledged) == (0, 1)
        assert counted(registry, verifier.caller_id, "nonsense") == 1

    async def test_a_join_may_know_other_books(self, root: Api) -> None:
        """After a restore it does; it is told to forget, and granted a lease like any other."""
        request = acknowledging(await join(root))
        request.session_id, request.epoch, request.revision = "", 7, 1_000
        granted = await root(request)
        assert (granted.reset, granted.lease.ToTimedelta()) == (True, SECOND)
        after = await root(acknowledging(granted))
        assert after.lease.ToTimedelta() == SECOND


async def test_without_a_lease_a_poll_is_held_all_the_same(root: Api) -> None:
    """Up to a second: whoever has none must not ask without end."""
    granted = await joined(root)
    nonsense = acknowledging(granted)
    nonsense.epoch = 9
    answer = await root(nonsense)
    loop = asyncio.get_running_loop()
    began = loop.time()
    after = await root(acknowledging(answer, timedelta(minutes=1)))
    assert after.lease.ToTimedelta() == NONE
    assert 0.9 < loop.time() - began < 5
