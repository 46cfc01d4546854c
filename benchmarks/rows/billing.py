"""What billing costs the gateway, and how often it calls the authority for that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.edges import bare_proxy, gateway, request
from benchmarks.loads import Generator, Load, http_load, stream_load
from benchmarks.processes import BenchmarkError, Process, serving
from benchmarks.results import Figure

_PATH: Final = "/v1/chat/completions"
_QUESTION: Final = '{"model":"bench","messages":[{"role":"user","content":"Say something."}]'
_WHOLE: Final = _QUESTION + "}"
_STREAMED: Final = _QUESTION + ',"stream":true}'
STREAMS: Final = 1_000
"""Streams under way at a time."""

OWED_CALLS: Final = 5
AIM_CALLS: Final = 1


@dataclass(slots=True)
class Tally:
    """Calls to an authority, and the requests that a gateway answered meanwhile."""

    authority: Authority
    calls: int = 0
    requests: int = 0

    def load(self, load: Generator) -> Generator:
        """Returns *load*, which is counted."""

        def run(seconds: float) -> Load:
            before = self.authority.calls()
            result = load.run(seconds)
            self.calls += self.authority.calls() - before
            self.requests += result.calls
            return result

        return Generator(load.name, run)

    def figure(self) -> Figure:
        """Returns the calls per 1,000 requests."""
        calls = 1_000 * self.calls / self.requests
        return Figure(
            "calls to the authority per 1,000 requests of one busy workspace",
            f"{calls:.2f}, of {self.requests:,} requests",
            f"≤ {OWED_CALLS}",
            f"≤ {AIM_CALLS}",
            calls <= OWED_CALLS,
        )


@dataclass(frozen=True, slots=True)
class Billed:
    """A workspace with credits, over whose key a gateway's requests are billed."""

    measuring: Measuring
    authority: Authority
    logs: Path
    workspace_id: str
    secret: str = field(repr=False)
    streams: int

    @classmethod
    def prepared(
        cls, measuring: Measuring, authority: Authority, logs: Path, streams: int = STREAMS
    ) -> Billed:
        """Returns a fresh one, which loads with *streams* streams at a time."""
        (logs / "spool").mkdir(mode=0o700, parents=True)
        workspace_id = authority.create_workspace()
        [(_, secret)] = authority.issue(1, workspace_id)
        authority.credit(workspace_id)
        return cls(measuring, authority, logs, workspace_id, secret, streams)

    def results(self) -> Iterator[Comparison | Figure]:
        """Yields all rows, as they are measured."""
        tally = Tally(self.authority)
        with serving("upstream", logs=self.logs) as upstream:
            with (
                self._billing(upstream, tally) as ours,
                bare_proxy(upstream, self.logs, access_log="off") as bare,
            ):
                yield self._compare(
                    "gateway forwarding, billing on",
                    self._side(ours, _WHOLE, tally),
                    "bare aiohttp reverse proxy",
                    self._side(bare, _WHOLE),
                    owed="0.80",
                    aim="0.90",
                )
            yield tally.figure()
            streams = Tally(self.authority)
            with (
                self._billing(upstream, streams) as ours,
                gateway(self.authority, upstream, self.logs, access_log="off") as off,
            ):
                yield self._compare(
                    f"gateway streaming, billing on, {self.streams:,} streams at a time",
                    self._side(ours, _STREAMED, streams),
                    "the same with billing off",
                    self._side(off, _STREAMED),
                    owed="0.85",
                    aim="0.95",
                    by_cpu=True,
                )

    @contextmanager
    def _billing(self, upstream: Process, tally: Tally) -> Iterator[Process]:
        """Runs a gateway that bills; raises `BenchmarkError` at its end if requests were free."""
        before = self.authority.proof(self.workspace_id).entries
        with gateway(
            self.authority, upstream, self.logs, access_log="off", spool=self.logs / "spool"
        ) as process:
            yield process
        charges = self.authority.proof(self.workspace_id).entries - before
        # A load that ends cuts off its last requests, which cost something as well.
        if charges < tally.requests:
            raise BenchmarkError(f"{charges} charges of {tally.requests} requests")

    def _compare(
        self,
        what: str,
        ours: _Asked,
        against: str,
        theirs: _Asked,
        *,
        owed: str,
        aim: str,
        by_cpu: bool = False,
    ) -> Comparison:
        if ours.answer() != theirs.answer():
            raise BenchmarkError("the two answer differently")
        sides = ours.side, theirs.side
        return self.measuring.compare(
            what, sides[0], against, sides[1], owed=owed, aim=aim, by_cpu=by_cpu
        )

    def _side(self, server: Process, body: str, tally: Tally | None = None) -> _Asked:
        headers = {"authorization": f"Bearer {self.secret}", "content-type": "application/json"}
        if body == _STREAMED:
            load = stream_load(server.address, _PATH, headers, body, self.streams)
        else:
            load = http_load(f"http://{server.address}{_PATH}", headers, body)
        side = Side(server, tally.load(load) if tally else load)
        return _Asked(side, headers, body)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A side, and the request that its load repeats."""

    side: Side
    headers: dict[str, str] = field(repr=False)
    body: str

    def answer(self) -> bytes:
        """Returns the body of an answer."""
        return request(self.side.server, _PATH, self.headers, self.body)[1]
