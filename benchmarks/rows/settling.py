"""How many charges a second the books take, in calls of 500 each."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Final

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure
from keyauthority.client import bearer_metadata, connect
from keyauthority.client.admin import ledger
from keyauthority.v1.spending_service_pb2 import (
    CHARGE_STATE_ENTERED,
    Charge,
    HoldPart,
    SettleRequest,
)
from keyauthority.v1.spending_service_pb2_grpc import SpendingServiceStub

AT_ONCE: Final = 500
VERIFIERS: Final = 4
"""Calls under way at a time, each with the charges of another workspace."""

OWED: Final = 5_000
AIM: Final = 20_000
_CREDITS: Final = 10**15


@dataclass(frozen=True, slots=True)
class Billed:
    """A workspace with credits, and a key in it."""

    workspace_id: str
    key_id: str


def settling(where: str, authority: Authority, seconds: float) -> Figure:
    """Measures `Settle` with 500 charges a call, of four workspaces at a time."""
    workspaces = [_billed(authority) for _ in range(VERIFIERS)]
    charges, took = asyncio.run(_settle(authority, workspaces, seconds))
    _check(authority, workspaces, charges)
    rate = charges / took
    what = f"charges settled, {where}, {AT_ONCE} a call, {VERIFIERS} calls at a time"
    return Figure(what, f"{rate:,.0f} /s", f"{OWED:,} /s", f"{AIM:,} /s", rate >= OWED)


def _billed(authority: Authority) -> Billed:
    workspace_id = authority.create_workspace()
    [(key_id, _)] = authority.issue(1, workspace_id)
    authority.client.call(ledger.top_up(workspace_id, _CREDITS, "bench"))
    return Billed(workspace_id, key_id)


async def _settle(
    authority: Authority, workspaces: list[Billed], seconds: float
) -> tuple[int, float]:
    async with connect(authority.address) as channel:
        stub = SpendingServiceStub(channel)
        metadata = bearer_metadata(authority.token)
        start = time.perf_counter()

        async def verifier(billed: Billed) -> int:
            entered = 0
            while time.perf_counter() - start < seconds:
                charges = [_charge(billed) for _ in range(AT_ONCE)]
                answer = await stub.Settle(SettleRequest(charges=charges), metadata=metadata)
                entered += sum(one.state == CHARGE_STATE_ENTERED for one in answer.charges)
            return entered

        counts = await asyncio.gather(*map(verifier, workspaces))
        return sum(counts), time.perf_counter() - start


def _charge(billed: Billed) -> Charge:
    return Charge(
        reference=uuid.uuid4().hex,
        workspace_id=billed.workspace_id,
        key_id=billed.key_id,
        cost_nano_credits=1_000,
        holds=[HoldPart(session_id="session_bench", number=1, nano_credits=2_000)],
        model="bench/model",
        path="/v1/chat/completions",
        request_id=f"req_{uuid.uuid4().hex[:24]}",
        counts={"input": 100, "output": 200},
        price_id="price_bench",
        status=200,
    )


def _check(authority: Authority, workspaces: list[Billed], charges: int) -> None:
    # What is counted as entered stands in ledgers that add up.
    proofs = [authority.proof(one.workspace_id) for one in workspaces]
    if sum(proof.entries for proof in proofs) != charges + len(workspaces):
        raise BenchmarkError("charges were lost, or entered twice")
