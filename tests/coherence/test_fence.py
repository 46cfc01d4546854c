"""What a change waits for."""

from __future__ import annotations

from datetime import timedelta

from keyauthority.coherence.fence import Fence, Passed
from keyauthority.coherence.leases import wait_out

LEASE = timedelta(seconds=3)
W = wait_out(LEASE)


def test_it_passes_when_all_have_acknowledged() -> None:
    """Even if that is nobody."""
    fence = Fence(100.0)
    assert fence.look(3, 1, LEASE, 100.0) is None
    assert fence.look(4, 0, LEASE, 100.1) == Passed(4, 0)
    assert Fence(100.0).look(0, 0, LEASE, 100.0) == Passed(0, 0)


def test_it_passes_when_the_leases_of_those_behind_are_over() -> None:
    """W after the commit, and not sooner."""
    fence = Fence(100.0)
    assert fence.look(3, 1, LEASE, 100.0) is None
    assert fence.over() == 100.0 + W
    assert fence.look(3, 1, LEASE, 100.0 + W - 0.001) is None
    assert fence.look(3, 1, LEASE, 100.0 + W) == Passed(3, 1)


def test_the_longest_lease_counts_though_it_is_no_longer_granted() -> None:
    """Once seen, it is waited for."""
    fence = Fence(100.0)
    fence.look(0, 1, 2 * LEASE, 100.0)
    assert fence.look(0, 1, LEASE, 100.0 + W) is None
    assert fence.look(0, 1, LEASE, 100.0 + wait_out(2 * LEASE)) == Passed(0, 1)


def test_after_a_crash_the_books_are_not_believed() -> None:
    """Until start + W nobody may be known who holds a lease."""
    fence = Fence(100.0, settled=102.0)
    assert fence.look(1, 0, LEASE, 101.9) is None
    assert fence.look(1, 0, LEASE, 102.0) == Passed(1, 0)
    late = Fence(100.0, settled=110.0)
    assert late.look(0, 1, LEASE, 100.0 + W) is None
    assert late.look(0, 1, LEASE, 110.0) == Passed(0, 1)


def test_after_a_restore_only_time_counts() -> None:
    """All that was granted before is waited out, whatever the sessions say."""
    fence = Fence(100.0)
    assert fence.look(1, 0, LEASE, 100.0, settling=True) is None
    assert fence.look(1, 0, LEASE, 100.0 + W, settling=True) == Passed(1, 0)
