"""How long a change takes at worst: while one verifier can't be reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask

from benchmarks.authority import Authority
from benchmarks.figures import Figure
from benchmarks.processes import BenchmarkError, Process
from benchmarks.verifiers import Verifiers, stopped, verifiers, wire
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import RevokeKeyRequest, RotateKeyRequest, UpdateKeyRequest
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.receipt_pb2 import Receipt
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub

OTHERS: Final = 9
"""Verifiers that can be reached."""

ALLOWANCE: Final = 0.1
"""Seconds that a change may take on top of W."""


@dataclass(frozen=True, slots=True)
class Changes:
    """One change of each kind that waits for verifiers."""

    asked: Authority
    key_id: str
    workspace_id: str

    def all(self) -> list[Callable[[], Receipt]]:
        """The key is revoked last."""
        return [self.disable, self.rotate, self.suspend, self.resume, self.revoke]

    def disable(self) -> Receipt:
        key = Key(id=self.key_id, disabled=True)
        request = UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["disabled"]))
        return self._keys().UpdateKey(request, metadata=self.asked.metadata).receipt

    def rotate(self) -> Receipt:
        request = RotateKeyRequest(key_id=self.key_id)
        return self._keys().RotateKey(request, metadata=self.asked.metadata).receipt

    def revoke(self) -> Receipt:
        request = RevokeKeyRequest(key_id=self.key_id)
        return self._keys().RevokeKey(request, metadata=self.asked.metadata).receipt

    def suspend(self) -> Receipt:
        return self._update_workspace(suspended=True)

    def resume(self) -> Receipt:
        return self._update_workspace(suspended=False)

    def _keys(self) -> KeyServiceStub:
        return KeyServiceStub(self.asked.channel)

    def _update_workspace(self, *, suspended: bool) -> Receipt:
        workspace = Workspace(id=self.workspace_id, suspended=suspended)
        request = UpdateWorkspaceRequest(
            workspace=workspace, update_mask=FieldMask(paths=["suspended"])
        )
        update = WorkspaceServiceStub(self.asked.channel).UpdateWorkspace
        return update(request, metadata=self.asked.metadata).receipt


def frozen(where: str, asked: Authority, count: int, logs: Path) -> Figure:
    """*count* changes while the process of one verifier is stopped."""
    with _one_more(asked, asked.address, logs) as (changes, one):
        took = [_change(change, one, one.process) for change in islice(cycle(changes), count)]
    return _figure(f"any fenced change, {where}, one verifier frozen (SIGSTOP)", asked, took)


def cut_off(where: str, asked: Authority, count: int, logs: Path) -> Figure:
    """*count* changes while nothing gets through between one verifier and the authority."""
    with (
        wire(asked.process, logs) as way,
        _one_more(asked, f"127.0.0.1:{way.port}", logs) as (changes, one),
    ):
        took = [_change(change, one, way) for change in islice(cycle(changes), count)]
    return _figure(f"any fenced change, {where}, one verifier cut off", asked, took)


@contextmanager
def _one_more(
    asked: Authority, address: str, logs: Path
) -> Iterator[tuple[list[Callable[[], Receipt]], Verifiers]]:
    """What can be changed, and the verifier at *address* of *asked*, beside others."""
    workspace_id = asked.create_workspace()
    ((key_id, secret),) = asked.issue(1, workspace_id)
    with (
        verifiers([asked.address] * OTHERS, asked.data_dir, [secret], logs),
        verifiers([address], asked.data_dir, [secret], logs) as one,
    ):
        yield Changes(asked, key_id, workspace_id).all(), one


def _change(change: Callable[[], Receipt], one: Verifiers, to_stop: Process) -> float:
    one.wait_for_leases()
    with stopped(to_stop):
        begun = time.perf_counter()
        receipt = change()
        took = time.perf_counter() - begun
    # The authority itself is a session as well.
    if receipt.leases_waited_out < 1 or receipt.sessions_acknowledged <= OTHERS:
        raise BenchmarkError(
            f"{receipt.leases_waited_out} leases were waited out, "
            f"{receipt.sessions_acknowledged} sessions have acknowledged"
        )
    return took


def _figure(what: str, asked: Authority, took: list[float]) -> Figure:
    owed = asked.longest_wait() + ALLOWANCE
    found = f"worst {max(took):.3f} s, {len(took)} changes"
    return Figure(
        what, found, f"≤ W + {ALLOWANCE * 1000:.0f} ms = {owed:.3f} s", "", max(took) <= owed
    )
