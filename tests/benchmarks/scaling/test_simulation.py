"""What the simulation of capacity says is right by reasoning, whatever the costs are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from benchmarks.scaling import edges, regions
from benchmarks.scaling.changes import changes
from benchmarks.scaling.cold_start import cold_start
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.credits import spending
from benchmarks.scaling.fan_out import FanOut, fan_out
from benchmarks.scaling.virtual import Processor, now, run
from benchmarks.scaling.world import LEASE
from keyauthority.coherence.leases import wait_out

COSTS = Costs()


def test_virtual_time_is_that_of_the_timers() -> None:
    """An hour passes at once, and work that comes at the same time is done one after the other."""

    async def work() -> tuple[float, float]:
        await asyncio.sleep(3600.0)
        processor = Processor(2)
        await asyncio.gather(*(processor.work(1.0) for _ in range(5)))
        return now(), processor.busy

    time, busy = run(work())
    assert time == pytest.approx(3603.0)
    assert busy == pytest.approx(5.0)


def test_who_waits_for_nothing_is_noticed() -> None:
    """Nothing arrives from outside: a wait without a timer would last for ever."""

    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing is due"):
        run(work())


def sizes(*verifiers: int, replicas: int) -> list[FanOut]:
    return [fan_out(number, replicas) for number in verifiers]


@pytest.mark.parametrize("replicas", [0, 3])
def test_more_verifiers_cost_more(replicas: int) -> None:
    """A revocation takes longer, and idle polls take more of the processor."""
    few, more, many = sizes(10, 100, 400, replicas=replicas)
    assert few.revocation < more.revocation < many.revocation
    assert few.replica_cpu < more.replica_cpu < many.replica_cpu
    assert many.waited_out == 0
    assert many.leased == 1.0


def test_idle_polls_cost_what_they_are() -> None:
    """Each verifier polls once in a quarter of the lease."""
    one = fan_out(200, 0)
    assert one.replica_cpu == pytest.approx(200 * COSTS.seconds("sync_sqlite") / 0.75, rel=0.05)


def test_replicas_share_the_fan_out() -> None:
    """More replicas make a revocation shorter, and leave the database the same work."""
    one, many = fan_out(400, 1), fan_out(400, 8)
    assert many.revocation < one.revocation
    assert many.database_cpu == pytest.approx(one.database_cpu, rel=0.2)


def test_a_revocation_takes_a_round_trip_at_least() -> None:
    """The farthest verifier has to hear of it, and to acknowledge it."""
    trip = COSTS.seconds("trip_far")
    for placement in (regions.at_home(), regions.everywhere()):
        assert min(placement.revocations) > trip


def test_a_revocation_is_bounded_by_the_lease() -> None:
    """A verifier farther away than its lease lasts is waited out, and no longer."""
    bound = wait_out(LEASE)
    costs = replace(COSTS, trip_zone=8000.0)
    far = fan_out(3, 0, costs)
    assert far.waited_out == 3
    assert bound <= far.revocation < bound + 0.1
    assert far.leased == 0.0


def test_replicas_belong_beside_the_database() -> None:
    """Each statement of a replica elsewhere makes the trip."""
    home, everywhere = regions.at_home(), regions.everywhere()
    for here, there in zip(home.revocations, everywhere.revocations, strict=True):
        assert here < there
    assert everywhere.known < home.known
    statements = COSTS.statements_before + COSTS.statements_held
    assert everywhere.revocations[2] > statements * COSTS.seconds("trip_far")


@pytest.mark.parametrize("longer", [0.0, 0.08])
@pytest.mark.parametrize("callers", [1, 8, 64])
def test_batches_are_never_slower(callers: int, longer: float) -> None:
    """Alone nothing gets slower; together more gets done."""
    alone = changes(callers, 3, batched=False, longer=longer)
    together = changes(callers, 3, batched=True, longer=longer)
    assert together.rate >= 0.999 * alone.rate
    assert together.p99 <= 1.001 * alone.p99
    assert alone.batch == 1.0


def test_one_by_one_changes_wait_for_the_counters_row() -> None:
    """However many callers and replicas: a change can't begin to be numbered before the last is committed."""
    few, many = changes(64, 3, batched=False), changes(64, 12, batched=False)
    bound = 1 / COSTS.seconds("change_held")
    assert few.rate == pytest.approx(bound, rel=0.05)
    assert many.rate <= bound * 1.001


def test_keys_have_fewer_misses_at_their_own_gateway() -> None:
    """A key that is asked about everywhere is asked about at each gateway once a minute."""
    anywhere, at_own = (edges.misses(100_000, 200.0, by_key=by_key) for by_key in (False, True))
    assert at_own.rate < anywhere.rate <= edges.REQUESTS
    assert at_own.rate == pytest.approx(100_000 / edges.HOLDS, rel=0.2)


def test_charges_are_settled_as_far_as_the_account_allows() -> None:
    """What is offered is settled until the account's row is locked all the time."""
    calm, flooded = spending(10, 200.0), spending(10, 40_000.0)
    assert calm.rate == pytest.approx(200.0, rel=0.1)
    assert calm.held < 0.2
    assert calm.refused == 0
    assert flooded.rate < flooded.offered
    assert flooded.held > 0.95


def test_batches_end_a_cold_start_sooner() -> None:
    """Each key is asked about by each gateway, in fewer calls."""
    alone, together = (cold_start(4, 500, 2, batched=batched) for batched in (False, True))
    assert together.seconds <= alone.seconds
    assert alone.calls == 4 * 500
    assert together.calls < alone.calls / 4
