"""A random schedule of the whole protocol in virtual time, made from a seed."""

from __future__ import annotations

from random import Random

from tests.coherence.history import SECRETS, WORKSPACE_OF, History
from tests.coherence.simulated_books import LEASE, Database, Parts
from tests.coherence.simulated_process import Process, W
from tests.coherence.simulated_verifier import Verifier
from tests.coherence.virtual import Timeline

SECONDS = 8.0
CHANGES = (
    *(f"+{secret} retired" for secret in SECRETS if secret.endswith(".b")),
    *(f"+{key} revoked" for key in WORKSPACE_OF),
    *(f"{sign}{key} disabled" for key in WORKSPACE_OF for sign in "+-"),
    *(f"{sign}workspace{number} suspended" for number in (0, 1) for sign in "+--"),
)


class Simulation:
    """Verifiers, processes and their misfortunes. One process alone, or several with one database."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.random = Random(seed)
        self.timeline = Timeline()
        self.history = History(bound=W)
        self.history.made(frozenset(), 0.0)
        self.alone = self.random.random() < 0.5
        self.database = Database(self.history, parts)
        self.processes = [
            Process(self.timeline, self.random, parts, self.database, alone=self.alone)
            for _ in range(1 if self.alone else self.random.choice((2, 3)))
        ]
        # A refusal that made room for others is not remembered; no restore then, which takes it back.
        self.capacity = self.random.choice((2, 100))
        self.verifiers = [
            Verifier(
                self.timeline,
                self.random,
                parts,
                self.processes,
                self.history,
                number,
                self.capacity,
            )
            for number in range(self.random.choice((1, 2, 3)))
        ]
        self._misfortunes = {
            self._pause: 30,
            self._cut: 20,
            self._end_verifier: 10,
            self._crash: 15,
            self._prune: 5,
            self._back_up: 5,
            self._restore: 7,
            self._fail_over: 8,
        }
        self.misfortune = self.random.choice((0.0, 0.5, 1.0, 1.0))

    def run(self) -> History:
        for process in self.processes:
            process.start(first=True)
        for verifier in self.verifiers:
            verifier.start()
            self._later(self._present, verifier, every=0.04)
        self._later(self._change, every=1.0)
        self._later(self._suffer, every=0.7)
        self.timeline.run(SECONDS)
        self.history.counts["events"] += self.timeline.events
        return self.history

    def _later(self, work: object, *args: object, every: float) -> None:
        def due() -> None:
            work(*args)  # type: ignore[operator]
            self._later(work, *args, every=every)

        wait = self.random.expovariate(1 / every)
        self.timeline.at(self.timeline.time + wait, due)

    def _present(self, verifier: Verifier) -> None:
        # Clients go on asking for what is revoked.
        verifier.arrives(0.0, verifier.request, self.random.choice(tuple(SECRETS)))

    def _change(self) -> None:
        process = self.random.choice(self.processes)
        changes = self.random.choices(CHANGES, k=self.random.choice((1, 1, 2, 3)))
        process.arrives(0.0, process.change, *changes)

    def _suffer(self) -> None:
        if self.random.random() >= self.misfortune:
            return
        if self.random.random() < 0.3:
            # One that hears nothing of the rest.
            self._cut()
        [what] = self.random.choices(tuple(self._misfortunes), tuple(self._misfortunes.values()))
        what()
        if self.random.random() < 0.5:
            # The worst moment for a change is right after.
            for _ in range(2):
                wait = self.random.expovariate(5.0)
                self.timeline.at(self.timeline.time + wait, self._change)

    def _pause(self) -> None:
        machine = self.random.choice((*self.verifiers, *self.processes))
        machine.pause(self.random.uniform(0.0, 3 * LEASE))

    def _cut(self) -> None:
        verifier = self.random.choice(self.verifiers)
        verifier.network.cut_until = self.timeline.time + self.random.uniform(0.0, 3 * LEASE)

    def _end_verifier(self) -> None:
        self.random.choice(self.verifiers).restart(leaving=self.random.random() < 0.5)

    def _crash(self) -> None:
        self._restart(self.random.choice(self.processes))

    def _restart(self, process: Process) -> None:
        if process.up:
            process.stop()
            self.timeline.at(self.timeline.time + self.random.uniform(0.0, 0.3), process.start)

    def _prune(self) -> None:
        self.database.prune()

    def _back_up(self) -> None:
        self.database.save()

    def _restore(self) -> None:
        if self.capacity < len(SECRETS) or not all(process.up for process in self.processes):
            return
        for process in self.processes:
            self._restart(process)
        self.database.restore(self.timeline.time)

    def _fail_over(self) -> None:
        # It goes on reading from the old primary, until it starts anew.
        process = self.random.choice(self.processes)
        if process.up and not process.cut_off and not self.alone:
            self.history.failovers += 1
            process.cut_off = True
            process.database = self.database.copy()
            wait = self.random.uniform(0.5, 3.0)
            self.timeline.at(self.timeline.time + wait, self._restart, process)
