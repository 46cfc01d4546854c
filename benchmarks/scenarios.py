"""What is compared with what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, authority, verified
from benchmarks.bare import bare_grpc, bare_handler, bare_proxy, cheap_upstream
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.filling import fill
from benchmarks.gateway import ask, gateway
from benchmarks.loads import Generator, grpc_load, http_load
from benchmarks.processes import BenchmarkError, Process
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, VerifyRequest

BATCH: Final = 100
FEW_KEYS: Final = 1_000
USABLE: Final = 20_000
"""Of how many stored keys, at most, a secret is presented."""

_VERIFY: Final = "/keyauthority.v1.VerificationService/Verify"
_BATCH_VERIFY: Final = "/keyauthority.v1.VerificationService/BatchVerify"
_COMPLETIONS: Final = "/v1/chat/completions"
_QUESTION: Final = '{"model":"bench","messages":[{"role":"user","content":"Say something."}]}'
# Written by aiohttp itself.
_OWN_HEADERS: Final = frozenset({"content-length", "content-type", "date", "server"})


@dataclass(frozen=True, slots=True)
class Scenes:
    """The comparisons over one authority.

    Args:
        measuring: How long.
        authority: A running authority.
        data_dir: Where it keeps its files.
        logs: Where processes may leave theirs.
        secrets: `BATCH` secrets of its keys.
    """

    measuring: Measuring
    authority: Authority
    data_dir: Path
    logs: Path
    secrets: list[str]

    def comparisons(self) -> Iterator[Comparison]:
        """All of them, as they are made."""
        yield self._verify()
        yield self._batch()
        with cheap_upstream(self.logs) as upstream:
            with gateway(
                self.authority, self.data_dir, upstream, self.logs, access_log="off"
            ) as quiet:
                yield self._forwarding(quiet, upstream, "off")
                yield self._authz(quiet)
            with gateway(
                self.authority, self.data_dir, upstream, self.logs, access_log="on"
            ) as talking:
                yield self._forwarding(talking, upstream, "on")

    def _verify(self) -> Comparison:
        reply = self.authority.verify(self.secrets[0])
        with bare_grpc(reply, self.logs) as bare:
            bare_reply = verified(bare, self.authority.token, self.secrets[0])
            for each in (reply, bare_reply):
                # What is left of it differs by when it is asked.
                each.ClearField("cache_for")
            if bare_reply != reply:
                raise BenchmarkError("the two servers answer differently")
            return self.measuring.compare(
                "`Verify` over gRPC",
                verify_side(self.authority, self.secrets[:1]),
                "bare grpc.aio, same messages, prebuilt reply",
                Side(bare, self._load(bare.port, self.secrets[:1])),
                owed="0.80",
                aim="0.90",
            )

    def _load(self, port: int, secrets: list[str]) -> Generator:
        return verify_load(port, self.authority.token, secrets)

    def _batch(self) -> Comparison:
        body = BatchVerifyRequest(secrets=self.secrets).SerializeToString()
        process, token = self.authority.process, self.authority.token
        batches = grpc_load(process.port, _BATCH_VERIFY, token, [body])
        return self.measuring.compare(
            f"`BatchVerify`, verdicts, {len(self.secrets)} a call",
            Side(process, batches, len(self.secrets), self.authority.counted),
            "`Verify`",
            verify_side(self.authority, self.secrets[:1]),
            owed="15",
            aim="25",
        )

    def _forwarding(self, ours: Process, upstream: Process, access_log: str) -> Comparison:
        headers = {**self._bearer(), "content-type": "application/json"}
        with bare_proxy(upstream, self.logs, access_log=access_log) as bare:
            answers = [ask(one, _COMPLETIONS, headers, _QUESTION)[1] for one in (ours, bare)]
            if answers[0] != answers[1]:
                raise BenchmarkError("the two proxies answer differently")
            sides = [
                Side(one, http_load(_url(one, _COMPLETIONS), headers, _QUESTION))
                for one in (ours, bare)
            ]
            quiet = access_log == "off"
            return self.measuring.compare(
                f"gateway forwarding, access log {access_log}",
                sides[0],
                f"bare aiohttp reverse proxy, access log {access_log}",
                sides[1],
                owed="0.85" if quiet else "",
                aim="0.95" if quiet else "",
            )

    def _authz(self, ours: Process) -> Comparison:
        same = _without_own(ask(ours, "/authz", self._bearer())[0])
        with bare_handler(same, self.logs) as bare:
            if _without_own(ask(bare, "/authz", {})[0]) != same:
                raise BenchmarkError("the two handlers answer differently")
            return self.measuring.compare(
                "gateway `/authz`",
                Side(ours, http_load(_url(ours, "/authz"), self._bearer())),
                "bare aiohttp handler, same bytes",
                Side(bare, http_load(_url(bare, "/authz"), self._bearer())),
                owed="0.75",
                aim="0.90",
            )

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secrets[0]}"}


def many_keys(measuring: Measuring, many: int, scratch: Path) -> Comparison:
    """`Verify` of keys at random, with *many* stored against few."""
    with ExitStack() as stack:
        sides = []
        for count in (many, FEW_KEYS):
            data_dir = scratch / f"{count}-keys"
            with authority(data_dir, scratch) as fresh:
                workspace_id = fresh.create_workspace()
            secrets = fill(data_dir, workspace_id, count, min(count, USABLE))
            running = stack.enter_context(authority(data_dir, scratch))
            running.verify(secrets[0])
            sides.append(verify_side(running, secrets))
        return measuring.compare(
            f"`Verify` over gRPC, {many:,} keys stored",
            sides[0],
            f"the same with {FEW_KEYS:,} stored",
            sides[1],
            owed="0.80",
            aim="1.0",
        )


def verify_load(port: int, token: str, secrets: list[str]) -> Generator:
    """Calls of `Verify` for each of *secrets* in turn."""
    bodies = [VerifyRequest(secret=secret).SerializeToString() for secret in secrets]
    return grpc_load(port, _VERIFY, token, bodies)


def verify_side(asked: Authority, secrets: list[str]) -> Side:
    """An authority under calls of `Verify`, whose verdicts it counts."""
    load = verify_load(asked.process.port, asked.token, secrets)
    return Side(asked.process, load, counted=asked.counted)


def _url(server: Process, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def _without_own(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
