"""Credits that expire by themselves, whatever happens to one workspace."""

from __future__ import annotations

from datetime import timedelta

import structlog

from keyauthority.domain.books import Books
from keyauthority.domain.crediting import Crediting, Purchase
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import Receipt
from keyauthority.escrow.slices import Account
from keyauthority.replica.housekeeping import expire_credits
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import START, ManualClock, a_workspace
from tests.domain.parts import an_actor, put_workspaces

BILLER = an_actor()
DAY = timedelta(days=1)


class FailingFence:
    """Fails as often as it has failures left."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    async def wait(self, revision: int) -> Receipt:
        if self.failures:
            raise self.failures.pop()
        return Receipt(revision)


async def a_ledger(clock: ManualClock, fence: FailingFence, workspaces: int) -> Crediting:
    """Workspaces, each with credits that last a day."""
    store = MemoryStore(clock)
    names = [f"ws_{number:03}" for number in range(workspaces)]
    await put_workspaces(store, [a_workspace(name) for name in names])
    crediting = Crediting(Books(store, fence))
    for name in names:
        await crediting.top_up(BILLER, name, Purchase("p", 5, expire_time=START + DAY))
    return crediting


async def test_a_failure_holds_up_no_other_workspace() -> None:
    """The log says of which workspace it was; the round goes on."""
    clock, fence = ManualClock(), FailingFence()
    crediting = await a_ledger(clock, fence, 3)
    clock.time += DAY
    fence.failures = [ValueError("two"), KeyAuthorityError(Reason.OVERLOADED, "one")]

    with structlog.testing.capture_logs() as logs:
        await expire_credits(crediting)

    assert [(line["event"], line["workspace_id"], line.get("reason")) for line in logs] == [
        ("not_expired", "ws_000", "OVERLOADED"),
        ("not_expired", "ws_001", None),
    ]
    for workspace_id in ("ws_000", "ws_001", "ws_002"):
        assert (await crediting.prove(BILLER, workspace_id)).account == Account(0)
