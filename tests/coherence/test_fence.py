"""What a change waits for."""

from __future__ import annotations

from datetime import timedelta

from keyauthority.coherence.fence import Fence
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import Counts

LEASE = timedelta(seconds=3)
W = wait_out(LEASE)


def test_it_passes_when_all_have_acknowledged() -> None:
    """Even if that is nobody."""
    fence = Fence(100.0)
    assert not fence.look(Counts(3, 1, LEASE), 100.0)
    assert fence.look(Counts(4, 0, LEASE), 100.1)
    assert Fence(100.0).look(Counts(0, 0, LEASE), 100.0)


def test_it_passes_when_the_leases_of_those_behind_are_over() -> None:
    """W after the commit, and not sooner."""
    fence = Fence(100.0)
    assert not fence.look(Counts(3, 1, LEASE), 100.0)
    assert fence.over(LEASE) == 100.0 + W
    assert not fence.look(Counts(3, 1, LEASE), 100.0 + W - 0.001)
    assert fence.look(Counts(3, 1, LEASE), 100.0 + W)


def test_the_longest_lease_of_those_behind_counts() -> None:
    """Who acknowledged is not waited for, however long its lease; nor who may hold none."""
    fence = Fence(100.0)
    assert not fence.look(Counts(0, 2, 2 * LEASE), 100.0 + W)
    assert not fence.look(Counts(0, 1, 2 * LEASE), 100.0 + wait_out(2 * LEASE) - 0.001)
    assert fence.look(Counts(1, 1, LEASE), 100.0 + wait_out(2 * LEASE) - 0.001)
    assert Fence(100.0).look(Counts(3, 0, timedelta()), 100.0)


def test_who_is_behind_while_all_is_quiet_is_late() -> None:
    """Half a second after the others came: not while they come."""
    fence, now = Fence(100.0), 100.0
    for behind in range(100, 1, -1):
        fence.look(Counts(100 - behind, behind, LEASE), now := now + 0.01)
    assert not fence.late
    for _ in range(49):
        fence.look(Counts(99, 1, LEASE), now := now + 0.01)
    assert not fence.late
    for _ in range(3):
        fence.look(Counts(99, 1, LEASE), now := now + 0.01)
    assert fence.late
    fence.look(Counts(100, 0, LEASE), now)
    assert not fence.late


def test_nobody_is_late_where_looks_are_slow() -> None:
    """An authority that takes a second for each is slow itself."""
    fence = Fence(100.0)
    for second in range(5):
        fence.look(Counts(0, 1, 9 * LEASE), 100.0 + second)
    assert not fence.late


def test_after_a_crash_the_books_are_not_believed() -> None:
    """Until start + W nobody may be known who holds a lease."""
    fence = Fence(100.0, settled=102.0)
    assert not fence.look(Counts(1, 0, LEASE), 101.9)
    assert fence.look(Counts(1, 0, LEASE), 102.0)
    late = Fence(100.0, settled=110.0)
    assert not late.look(Counts(0, 1, LEASE), 100.0 + W)
    assert late.look(Counts(0, 1, LEASE), 110.0)


def test_after_a_restore_only_time_counts() -> None:
    """All that was granted before is waited out, whatever the sessions say."""
    fence = Fence(100.0)
    assert not fence.look(Counts(1, 0, LEASE, settling=True), 100.0)
    assert fence.look(Counts(1, 0, LEASE, settling=True), 100.0 + W)
