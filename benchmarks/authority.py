"""An authority that is measured: started, filled, called and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.metrics import samples
from benchmarks.processes import READY, BenchmarkError, Process, running, wait_until
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.client import Secret, load_token
from keyauthority.client.admin import (
    BlockingAdminClient,
    KeySettings,
    NewPrice,
    keys,
    ledger,
    operations,
    prices,
    workspaces,
)
from keyauthority.domain.ledger import Proof
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Rates
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from tests.ports import free_port

SETTINGS: Final = KeySettings("bench", scopes=("chat:write", "models:read"))

_OPTIONS: Final = [("grpc.enable_http_proxy", 0)]
# A load that ends cuts off its last calls.
_GOOD_CODES: Final = frozenset({"OK", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Authority:
    """A running authority; its client calls it with its root token."""

    process: Process
    token_file: Path
    metrics_port: int
    token: Secret
    client: BlockingAdminClient
    # None: it is on SQLite.
    database: PostgresUrl | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.process.address

    def create_workspace(self) -> str:
        """Returns the id of a fresh workspace."""
        return self.client.call(workspaces.create("bench")).id

    def credit(self, workspace_id: str) -> None:
        """Gives a workspace more credits than it can spend, and chat completions a price."""
        self.client.call(ledger.top_up(workspace_id, LARGEST_AMOUNT, "bench"))
        rates = Rates(input=2_000_000, output=8_000_000)
        row = NewPrice("*", "/v1/chat/completions", rates)
        self.client.call(prices.set_all([row]))

    def issue(self, count: int, workspace_id: str) -> Iterator[tuple[str, str]]:
        """Yields ids and secrets of *count* fresh keys with two scopes."""
        for _ in range(count):
            issued = self.client.call(keys.issue(workspace_id, SETTINGS))
            yield issued.key.id, issued.secret.reveal()

    def longest_wait(self) -> float:
        """Returns W: the seconds that a change waits, at most."""
        return self.client.call(operations.sessions()).longest_wait.total_seconds()

    def verify(self, secret: str) -> VerifyResponse:
        """Returns the answer for *secret*, which must be valid: raises `BenchmarkError`."""
        return verify(self.process, self.token, secret)

    def wait_for_verdict(self, secret: str, within: float = READY) -> None:
        """Returns once it answers that *secret* is valid, so that its answers come from memory.

        Raises `BenchmarkError` that says what it answers instead, if it does not.
        """

        def lacks() -> str:
            try:
                self.verify(secret)
            except grpc.RpcError as error:
                return f"no verdict: {error.code().name}, {error.details()}"
            return ""

        wait_until(self.process, lacks, within)

    def proof(self, workspace_id: str) -> Proof:
        """Returns the proof of a ledger, which must add up: raises `BenchmarkError`."""
        proof = self.client.call(ledger.verify(workspace_id))
        if proof.faults:
            raise BenchmarkError(f"a ledger does not add up: {proof.faults}")
        return proof

    def calls(self, method: str = "") -> int:
        """Returns the number of calls answered so far, however: those of one method, or all."""
        name = "keyauthority_calls_total"
        calls = (sample for sample in samples(self.metrics_port) if sample.name == name)
        return int(sum(one.value for one in calls if method in ("", one.labels["method"])))

    @contextmanager
    def counted_calls(self, method: str) -> Iterator[list[int]]:
        """Yields a list that gets the number of good calls of one method within the context.

        Raises `BenchmarkError` as `counted` does.
        """
        before = self.calls(method)
        with self.counted():
            yield (counts := [])
        counts.append(self.calls(method) - before)

    @contextmanager
    def counted(self) -> Iterator[list[int]]:
        """Yields a list that gets the number of `VALID` verdicts within the context.

        Raises `BenchmarkError` if any call failed: a load generator may not notice that.
        """
        valid, failed = self._counters()
        counts: list[int] = []
        yield counts
        valid_after, failed_after = self._counters()
        if failed_after != failed:
            raise BenchmarkError(f"{failed_after - failed} calls failed")
        counts.append(valid_after - valid)

    def _counters(self) -> tuple[int, int]:
        valid = failed = 0.0
        for sample in samples(self.metrics_port):
            if sample.name == "keyauthority_verdicts_total" and sample.labels["verdict"] == "VALID":
                valid += sample.value
            elif sample.name == "keyauthority_calls_total":
                failed += sample.value if sample.labels["code"] not in _GOOD_CODES else 0
        return int(valid), int(failed)


@contextmanager
def running_authority(
    data_dir: Path,
    logs: Path,
    database: PostgresUrl | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Authority]:
    """Runs an authority over *data_dir*, which it sets up if need be, on SQLite or *database*.

    *environment* is added to its own.
    """
    where = {"KEYAUTHORITY_DATABASE": database.reveal()} if database else {}
    port, metrics_port = free_port(), free_port()
    options = {"--listen": f"127.0.0.1:{port}", "--metrics-listen": f"127.0.0.1:{metrics_port}"}
    with running(
        "authority",
        port,
        "keyauthority",
        *("--data-dir", str(data_dir), "serve", "--log-level", "warning"),
        *(part for option in options.items() for part in option),
        logs=logs,
        environment={**where, **(environment or {})},
    ) as process:
        token_file = data_dir / "root.token"
        token = load_token(token_file)
        with grpc.insecure_channel(process.address, options=_OPTIONS) as channel:
            health: Any = HealthStub(channel)
            wait_until(process, lambda: _lacks_health(health))
            client = BlockingAdminClient(channel, token)
            yield Authority(process, token_file, metrics_port, token, client, database)


def _lacks_health(health: Any) -> str:
    # Where several share the books, it may answer under a lease only, which comes a little later.
    try:
        status = health.Check(HealthCheckRequest(), timeout=READY).status
    except grpc.RpcError as error:
        return f"its health can't be had: {error.code().name}, {error.details()}"
    if status != HealthCheckResponse.SERVING:
        return "its health is not SERVING: no books, or no lease"
    return ""


def verify(server: Process, token: Secret, secret: str) -> VerifyResponse:
    """Returns *server*'s answer for *secret*, which must be valid: raises `BenchmarkError`."""
    metadata = (("authorization", f"Bearer {token.reveal()}"),)
    with grpc.insecure_channel(server.address, options=_OPTIONS) as channel:
        reply: VerifyResponse = VerificationServiceStub(channel).Verify(
            VerifyRequest(secret=secret), metadata=metadata, timeout=10
        )
    if reply.verdict != Verdict.VERDICT_VALID:
        raise BenchmarkError(f"a good key is answered {Verdict.Name(reply.verdict)}")
    return reply
