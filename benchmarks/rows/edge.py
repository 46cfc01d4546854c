"""The gateway, against bare servers that answer or forward without a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.edges import bare_handler, bare_proxy, gateway, request
from benchmarks.loads import http_load
from benchmarks.processes import BenchmarkError, Process, serving

_COMPLETIONS: Final = "/v1/chat/completions"
_QUESTION: Final = '{"model":"bench","messages":[{"role":"user","content":"Say something."}]}'
# aiohttp itself writes these.
_OWN_HEADERS: Final = frozenset({"content-length", "content-type", "date", "server"})

_FEW: Final = 100
"""Verdicts of the authority while a row is measured, at most, if the gateway uses its cache."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The comparisons over one authority, by requests that all present *secret*."""

    measuring: Measuring
    authority: Authority
    secret: str
    logs: Path

    def comparisons(self) -> Iterator[Comparison]:
        """Yields all of them, as they are measured."""
        with serving("upstream", logs=self.logs) as upstream:
            for access_log, cache in (("off", "on"), ("on", "on"), ("off", "off")):
                with gateway(
                    self.authority, upstream, self.logs, access_log=access_log, cache=cache
                ) as ours:
                    if cache == "on":
                        yield self._authz(ours, access_log)
                    yield self._forwarding(ours, upstream, access_log, cache)

    def _authz(self, ours: Process, access_log: str) -> Comparison:
        headers = _without_own(request(ours, "/authz", self._headers())[0])
        quiet = access_log == "off"
        with bare_handler(headers, self.logs, access_log=access_log) as bare, self._from_cache():
            if _without_own(request(bare, "/authz", {})[0]) != headers:
                raise BenchmarkError("the two handlers answer differently")
            return self.measuring.compare(
                f"gateway `/authz` from its cache{_logged(quiet)}",
                self._side(ours, "/authz"),
                f"bare aiohttp handler, same bytes{_logged(quiet)}",
                self._side(bare, "/authz"),
                owed="0.85" if quiet else "",
                aim="0.95" if quiet else "",
            )

    def _forwarding(
        self, ours: Process, upstream: Process, access_log: str, cache: str
    ) -> Comparison:
        quiet, cached = access_log == "off", cache == "on"
        with (
            bare_proxy(upstream, self.logs, access_log=access_log) as bare,
            self._from_cache() if cached else nullcontext(),
        ):
            headers = self._headers(_QUESTION)
            answers = [request(proxy, _COMPLETIONS, headers, _QUESTION) for proxy in (ours, bare)]
            if answers[0][1] != answers[1][1]:
                raise BenchmarkError("the two proxies answer differently")
            return self.measuring.compare(
                f"gateway forwarding{'' if cached else ', `--cache off`'}{_logged(quiet)}",
                self._side(ours, _COMPLETIONS, _QUESTION),
                f"bare aiohttp reverse proxy{_logged(quiet)}",
                self._side(bare, _COMPLETIONS, _QUESTION),
                owed="0.95" if quiet and cached else "",
                aim="1.2" if quiet and cached else "",
            )

    @contextmanager
    def _from_cache(self) -> Iterator[None]:
        """Raises `BenchmarkError` at its end if the authority gave more than a few verdicts."""
        with self.authority.counted() as verdicts:
            yield
        if verdicts[0] > _FEW:
            raise BenchmarkError(f"the gateway asked for {verdicts[0]} verdicts")

    def _side(self, server: Process, path: str, body: str | None = None) -> Side:
        return Side(server, http_load(f"http://{server.address}{path}", self._headers(body), body))

    def _headers(self, body: str | None = None) -> dict[str, str]:
        bearer = {"authorization": f"Bearer {self.secret}"}
        return bearer if body is None else {**bearer, "content-type": "application/json"}


def _logged(quiet: bool) -> str:
    return "" if quiet else ", access log on"


def _without_own(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
