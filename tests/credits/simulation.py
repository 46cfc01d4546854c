"""One seed: processes that spend, what befalls them, and the promises in each state."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from itertools import count
from random import Random
from typing import Any, Final
from unittest.mock import patch

from keyauthority.client import AllHeld, OutOfCredits, Request, Spending, SpendingUnavailable
from keyauthority.domain.credits import releasing
from keyauthority.domain.verdicts import VerifiedKey
from tests.conformance.records import SECOND
from tests.credits.authority import WAIT, WORKSPACE, Authority
from tests.credits.disk import Disk
from tests.credits.verifier import Node, simulated
from tests.credits.virtual import Network, VirtualLoop, now

KEY: Final = VerifiedKey("key_1", WORKSPACE, "one", (), {})
REQUEST: Final = Request("gpt-5", "/v1/x", "r")
LASTS: Final = 5.0
"""Seconds of virtual time in which things happen."""


class Simulation:
    """Plays one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.counts: Counter[str] = Counter()
        self._said: dict[str, int | None] = {}
        """What clients said of the requests that ended: the cost; None: void."""
        self._expected: dict[str, int | None] = {}
        """The same, of those whose process was killed: as its disk had it."""

    def run(self) -> Simulation:
        """Plays it to its end, or to the first broken promise."""
        longest = self.dice.choice((1, 10)) * SECOND
        with (
            simulated(),
            patch.object(releasing, "LONGEST_REQUEST", longest),
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
        ):
            runner.run(self._play())
        return self

    @property
    def broken(self) -> str:
        """The promise that broke; empty if none did."""
        return self.authority.broken

    async def _play(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        self.authority = Authority(self.dice)
        self.disk = Disk(self.dice, self.dice.choice((200.0, 200.0, 2.0)))
        self.nodes: list[Node] = []
        self._watch()
        await self.authority.begin(self.dice.choice((60, 300, 3_000)))
        self.clients: set[asyncio.Task[None]] = set()
        self.ends = now() + LASTS
        for _ in range(self.dice.randint(1, 3)):
            await self._start()
        tidying = asyncio.create_task(self._tidy())
        await self._misfortunes()
        if not self.broken:
            await self._end()
            await self._settle_up()
        tidying.cancel()
        for node in self.nodes:
            node.process.kill()
        await asyncio.sleep(60.0)  # until everything has come to its end

    def _watch(self) -> None:
        # Whatever the authority does, all promises are looked at afterwards.
        look = self.authority._look

        def looks() -> None:
            look()
            slices, entered = self.authority.slices(), self.authority.charges()
            for node in self.nodes:
                if node.process.alive and node.uncovered(slices, entered, self.authority.void):
                    self.authority.breaks("a hold is not covered by its slice")

        self.authority._look = looks  # type: ignore[method-assign]

    # --- processes

    async def _start(self) -> None:
        node = Node(self.authority, self.disk, Network(self.dice))
        await node.begin()
        self.nodes.append(node)
        for _ in range(self.dice.randint(1, 3)):
            self.clients.add(node.process.spawn(self._client(node)))

    async def _client(self, node: Node) -> None:
        while now() < self.ends:
            await asyncio.sleep(self.dice.expovariate(3.0))
            arrived, amount = now(), self.dice.randint(1, 40)
            least = self.dice.choice((1, amount))
            try:
                one = await node.spender.hold(KEY, amount, REQUEST, least=least)
            except OutOfCredits:
                self._check(self.authority.lowest(arrived)[0] <= 0, "402 though there were credits")
                self.counts["402"] += 1
            except AllHeld:
                least_available = self.authority.lowest(arrived)[1]
                self._check(least_available < amount, "429 though there was enough")
                self.counts["429"] += 1
            except SpendingUnavailable:
                self.counts["503"] += 1
            else:
                node.running.add(one)
                self._check_admitted(one, arrived)
                await self._run(one)
                node.running.discard(one)

    async def _run(self, one: Spending) -> None:
        self.counts["admitted"] += 1
        await asyncio.sleep(self.dice.expovariate(3.0))
        if self.dice.random() < 0.3:
            try:
                await one.extend(self.dice.randint(1, 30))
            except (OutOfCredits, AllHeld, SpendingUnavailable):
                self.counts["not extended"] += 1
        await asyncio.sleep(self.dice.expovariate(10.0))
        if self.dice.random() < 0.2:
            self._said[one.reference] = None
            one.void()
        else:
            most = one.amount + self.dice.choice((0, 0, 0, 20))
            cost = self._said[one.reference] = self.dice.randint(0, most)
            one.charge(cost)

    def _check(self, holds: bool, promise: str) -> None:
        if not holds:
            self.authority.breaks(promise)

    def _check_admitted(self, one: Spending, arrived: float) -> None:
        authority = self.authority
        before = [begun for begun, returned in authority.reductions if returned <= arrived]
        if not before:
            return
        for key in one.parts:
            fresh = authority.begun[key] > before[-1] or authority.granted[key] >= arrived
            self._check(fresh, "credits from before a reduction were spent after it")

    # --- what befalls them

    async def _misfortunes(self) -> None:
        self._backup = self.authority.back_up()
        self._since = [self._backup]
        self._changes: list[asyncio.Task[None]] = []
        for number in count(1):
            await asyncio.sleep(self.dice.expovariate(2.0))
            if now() >= self.ends or self.broken:
                break
            self._since.append(self.authority.back_up())
            what = self.dice.choice(_MISFORTUNES)
            self.counts[what] += 1
            node = self.dice.choice(self.nodes)
            if what in _AT_A_PROCESS:
                await self._befalls(node, what)
            else:
                self._changes += map(asyncio.create_task, self._change(what, number))
        await asyncio.gather(*self._changes)

    async def _befalls(self, node: Node, what: str) -> None:
        match what:
            case "cut":
                node.network.cut_until = now() + self.dice.uniform(0.5, 6.0)
            case "deaf":
                node.verifier.deaf_until = now() + self.dice.uniform(2.0, 6.0)
            case "session":
                await node.verifier.leave_session()
            case _:
                self._kill(node, power_cut=what == "power cut")
                await self._start()

    def _change(self, what: str, number: int) -> list[Coroutine[Any, Any, None]]:
        match what:
            case "top-up":
                amount, times = self.dice.randint(1, 99), self.dice.randint(1, 2)
                return [self.authority.top_up(f"purchase-{number}", amount) for _ in range(times)]
            case "reduction":
                return [self.authority.reduce(f"loss-{number}", self.dice.randint(1, 150))]
            case "backup":
                self._backup = self.authority.back_up()
                self._since = [self._backup]
            case "restart":
                self.authority.restart()
            case "restore" if not self.authority.restores:
                return [self._restore(self._backup)]
        return []

    async def _restore(self, backup: Any) -> None:
        # The last export was of the time of the backup, or of any later one.
        exported = self.dice.choice((backup, *self._since))
        entries = [len(state.entries.get(WORKSPACE, ())) for state, *_ in (backup, exported)]
        self.counts["entered again"] += entries[1] - entries[0]
        await self.authority.restore(backup, exported)
        await self.authority.repeat_credits()

    def _kill(self, node: Node, *, power_cut: bool) -> None:
        self.nodes.remove(node)
        spool = node.spender._spool
        known = {name for name, _ in self.disk.of(spool)}  # type: ignore[arg-type]
        node.kill(power_cut=power_cut)
        left = dict(self.disk.of(spool))  # type: ignore[arg-type]
        for name in known:
            record = left.get(name)
            if record is None or record.voided:
                self._expected[name] = None
            else:
                self._expected[name] = (record.charge or record.held).cost

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(2.0)
            await self.authority.tidy()

    # --- the end

    async def _end(self) -> None:
        for node in self.nodes:
            node.network.calm, node.verifier.deaf_until = True, 0.0
        alive = [one for one in self.clients if not one.done()]
        for result in await asyncio.gather(*alive, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        for node in self.nodes:
            await node.stop()
        last = Node(self.authority, self.disk, Network(self.dice))
        last.network.calm = True
        await last.begin()
        patience = now() + 30.0
        while any(
            one.charge and one.confirmed < self.authority.epoch
            for one in self.disk.records.values()
        ):
            if now() > patience:
                self.authority.breaks("a charge was not brought")
                return
            await asyncio.sleep(0.1)
        await last.stop()
        await self.authority.repeat_credits()
        await asyncio.sleep(WAIT + 11.0)
        await self.authority.tidy()
        await asyncio.sleep(WAIT + 11.0)
        await self.authority.tidy()

    async def _settle_up(self) -> None:
        await self.authority.prove()
        said = self._said | self._expected
        expected = {name: cost for name, cost in said.items() if cost is not None}
        entered, account = self.authority.charges(), self.authority.account
        self._check(entered == expected, "a charge was lost, or entered with another cost")
        self._check(not account.escrowed, "credits are set apart for nobody")
        credited = sum(self.authority.credited.values())
        adds_up = account.balance == credited - sum(entered.values())
        self._check(adds_up, "the balance is not what was credited and charged")
        self.counts["charged"] += len(entered)


_AT_A_PROCESS: Final = ("cut", "cut", "deaf", "kill", "power cut", "session")
_MISFORTUNES: Final = (
    *_AT_A_PROCESS,
    *("top-up", "top-up", "top-up", "reduction", "reduction", "backup", "restart", "restore"),
)
