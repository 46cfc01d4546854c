"""The gateway, against bare servers that answer or forward without a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.bare import bare_handler, bare_proxy, cheap_upstream
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.gateway import ask, gateway
from benchmarks.loads import http_load
from benchmarks.processes import BenchmarkError, Process

_COMPLETIONS: Final = "/v1/chat/completions"
_QUESTION: Final = '{"model":"bench","messages":[{"role":"user","content":"Say something."}]}'
# Written by aiohttp itself.
_OWN_HEADERS: Final = frozenset({"content-length", "content-type", "date", "server"})

_FEW: Final = 100
"""Verdicts that the authority may give in a row of which is said that the gateway has them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The comparisons over one authority, by requests that all present *secret*."""

    measuring: Measuring
    asked: Authority
    secret: str
    logs: Path

    def comparisons(self) -> Iterator[Comparison]:
        """All of them, as they are made."""
        with cheap_upstream(self.logs) as upstream:
            for access_log in ("off", "on"):
                with gateway(self.asked, upstream, self.logs, access_log=access_log) as ours:
                    yield self._authz(ours, access_log)
                    yield self._forwarding(ours, upstream, access_log)
            with gateway(self.asked, upstream, self.logs, access_log="off", cache="off") as ours:
                yield self._forwarding(ours, upstream, "off", cache="off")

    def _authz(self, ours: Process, access_log: str) -> Comparison:
        same = _without_own(ask(ours, "/authz", self._bearer())[0])
        quiet = access_log == "off"
        with bare_handler(same, self.logs, access_log=access_log) as bare, self._from_cache():
            if _without_own(ask(bare, "/authz", {})[0]) != same:
                raise BenchmarkError("the two handlers answer differently")
            return self.measuring.compare(
                f"gateway `/authz` from its cache{_logged(quiet)}",
                Side(ours, http_load(_url(ours, "/authz"), self._bearer())),
                f"bare aiohttp handler, same bytes{_logged(quiet)}",
                Side(bare, http_load(_url(bare, "/authz"), self._bearer())),
                owed="0.75" if quiet else "",
                aim="0.90" if quiet else "",
            )

    def _forwarding(
        self, ours: Process, upstream: Process, access_log: str, *, cache: str = "on"
    ) -> Comparison:
        headers = {**self._bearer(), "content-type": "application/json"}
        quiet, cached = access_log == "off", cache == "on"
        with (
            bare_proxy(upstream, self.logs, access_log=access_log) as bare,
            self._from_cache() if cached else nullcontext(),
        ):
            answers = [ask(one, _COMPLETIONS, headers, _QUESTION)[1] for one in (ours, bare)]
            if answers[0] != answers[1]:
                raise BenchmarkError("the two proxies answer differently")
            sides = [
                Side(one, http_load(_url(one, _COMPLETIONS), headers, _QUESTION))
                for one in (ours, bare)
            ]
            return self.measuring.compare(
                f"gateway forwarding{'' if cached else ', `--cache off`'}{_logged(quiet)}",
                sides[0],
                f"bare aiohttp reverse proxy{_logged(quiet)}",
                sides[1],
                owed="0.85" if quiet and cached else "",
                aim="0.95" if quiet and cached else "",
            )

    @contextmanager
    def _from_cache(self) -> Iterator[None]:
        """Raises `BenchmarkError` at its end if the authority was asked for each verdict."""
        with self.asked.counted() as verdicts:
            yield
        if verdicts[0] > _FEW:
            raise BenchmarkError(f"the gateway asked for {verdicts[0]} verdicts")

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}


def _logged(quiet: bool) -> str:
    return "" if quiet else ", access log on"


def _url(server: Process, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def _without_own(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
