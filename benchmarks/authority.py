"""An authority that is measured: started, filled, asked and checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import grpc
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import paths
from benchmarks.processes import BenchmarkError, Process, running
from keyauthority.v1.key_service_pb2 import IssueKeyRequest
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.operations_service_pb2 import ListSessionsRequest
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub
from tests.ports import free_port

SCOPES = ("chat.completions", "models.read")

_OPTIONS = [("grpc.enable_http_proxy", 0)]


@dataclass(frozen=True, slots=True)
class Authority:
    """A running authority, and its root token with which everything here is asked."""

    process: Process
    data_dir: Path
    metrics_port: int
    token: str = field(repr=False)
    channel: grpc.Channel

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.process.port}"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with each call."""
        return (("authorization", f"Bearer {self.token}"),)

    def create_workspace(self) -> str:
        """The id of a fresh workspace."""
        request = CreateWorkspaceRequest(name="bench")
        reply = WorkspaceServiceStub(self.channel).CreateWorkspace(request, metadata=self.metadata)
        return str(reply.workspace.id)

    def issue(self, count: int, workspace_id: str) -> Iterator[tuple[str, str]]:
        """Ids and secrets of *count* fresh keys with two scopes."""
        issue = KeyServiceStub(self.channel).IssueKey
        request = IssueKeyRequest(workspace_id=workspace_id, name="bench", scopes=SCOPES)
        for _ in itertools.repeat(None, count):
            reply = issue(request, metadata=self.metadata)
            yield reply.key.id, reply.secret

    def longest_wait(self) -> float:
        """W: the seconds that a change waits, at most."""
        asked = OperationsServiceStub(self.channel).ListSessions
        reply = asked(ListSessionsRequest(), metadata=self.metadata)
        return reply.longest_wait.ToTimedelta().total_seconds()

    def verify(self, secret: str) -> VerifyResponse:
        """The answer for *secret*, which must be valid: raises `BenchmarkError`."""
        return verified(self.process, self.token, secret)

    @contextmanager
    def counted(self) -> Iterator[list[int]]:
        """Yields a list into which the number of `VALID` verdicts given meanwhile is put.

        Raises `BenchmarkError` if any call failed: a load generator may not see that.
        """
        valid, failed = self._counters()
        found: list[int] = []
        yield found
        valid_after, failed_after = self._counters()
        if failed_after != failed:
            raise BenchmarkError(f"{failed_after - failed} calls failed")
        found.append(valid_after - valid)

    def _counters(self) -> tuple[int, int]:
        valid = failed = 0.0
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        for sample in (sample for family in families for sample in family.samples):
            if sample.name == "keyauthority_verdicts_total" and sample.labels["verdict"] == "VALID":
                valid += sample.value
            # A load that ends cuts off its last calls.
            elif sample.name == "keyauthority_calls_total" and sample.labels["code"] not in (
                "OK",
                "CANCELLED",
            ):
                failed += sample.value
        return int(valid), int(failed)


@contextmanager
def authority(data_dir: Path, logs: Path) -> Iterator[Authority]:
    """Runs an authority over *data_dir*, which it sets up if need be."""
    port, metrics_port = free_port(), free_port()
    arguments = (str(port), str(metrics_port), str(data_dir))
    with running(
        "authority", port, "benchmarks.servers.authority", *arguments, logs=logs
    ) as process:
        token = paths.root_token(data_dir).read_text().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
            yield Authority(process, data_dir, metrics_port, token, channel)


def verified(server: Process, token: str, secret: str) -> VerifyResponse:
    """What *server* answers for *secret*, which must be valid: raises `BenchmarkError`."""
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=_OPTIONS) as channel:
        reply: VerifyResponse = VerificationServiceStub(channel).Verify(
            VerifyRequest(secret=secret), metadata=metadata, timeout=10
        )
    if reply.verdict != Verdict.VERDICT_VALID:
        raise BenchmarkError(f"a good key is answered {Verdict.Name(reply.verdict)}")
    return reply
