"""What is said of each service and method, and that nothing is left unsaid until a call finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, cast

import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from keyauthority import v1
from keyauthority.base.process.clocks import boottime
from keyauthority.domain.callers import Role
from keyauthority.rpc.admission import Room
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.errors import Alarms
from keyauthority.rpc.guard import Guard
from keyauthority.rpc.leased import Leased
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.mutations import Mutations
from keyauthority.rpc.service import Access, Method, Parts, Service, ServiceError
from keyauthority.rpc.services import SERVICES, add_services
from tests.rpc.parts import service

READING: Final = {
    "VerificationService.Verify",
    "VerificationService.BatchVerify",
    "SpendingService.GetAvailable",
    "SpendingService.ListCurrentPrices",
    "KeyService.GetKey",
    "KeyService.BatchGetKeys",
    "KeyService.ListKeys",
    "KeyService.LookupKey",
    "WorkspaceService.GetWorkspace",
    "WorkspaceService.BatchGetWorkspaces",
    "WorkspaceService.ListWorkspaces",
    "CallerService.ListCallers",
    "LedgerService.GetBalance",
    "LedgerService.ListEntries",
    "LedgerService.ListPrices",
    "LedgerService.SummarizeUsage",
    "LedgerService.VerifyLedger",
    "AuditService.ListAuditEntries",
    "OperationsService.ListSessions",
    "OperationsService.ListPeppers",
    "IdentityService.WhoAmI",
}
SESSIONS: Final = {"VerificationService.Sync", "VerificationService.Leave"}
CHANGING: Final = {
    "VerificationService.RevokePresented",
    "SpendingService.Settle",
    "KeyService.IssueKey",
    "KeyService.UpdateKey",
    "KeyService.RotateKey",
    "KeyService.RevokeKey",
    "KeyService.RevokeKeys",
    "KeyService.ImportKeys",
    "WorkspaceService.CreateWorkspace",
    "WorkspaceService.UpdateWorkspace",
    "CallerService.CreateCaller",
    "CallerService.RevokeCaller",
    "LedgerService.TopUp",
    "LedgerService.Adjust",
    "LedgerService.Refund",
    "LedgerService.RecordCharges",
    "LedgerService.SetPrices",
    "AuditService.PruneAuditEntries",
    "OperationsService.AddPepper",
    "OperationsService.ActivatePepper",
    "OperationsService.RetirePepper",
}
FOR_VERIFIERS: Final = {
    label for label in READING if label.startswith(("VerificationService.", "SpendingService."))
}


def methods(*, foreign: bool) -> list[Method]:
    return [one for each in SERVICES if each.foreign is foreign for one in each.methods()]


def labels(chosen: Sequence[Method]) -> set[str]:
    return {one.label for one in chosen}


def test_each_method_reads_or_changes_or_keeps_a_session() -> None:
    """As the contract says it: a method that is added is decided about here as well."""
    ours = methods(foreign=False)
    assert labels([one for one in ours if one.changes]) == CHANGING
    assert labels([one for one in ours if one.keeps_session]) == SESSIONS
    rest = [one for one in ours if not (one.changes or one.keeps_session)]
    assert labels(rest) == READING
    assert len(ours) == len(CHANGING | SESSIONS | READING)


def test_what_is_of_others_changes_nothing() -> None:
    """Envoy's question, health and reflection, whose contracts say nothing of it."""
    theirs = methods(foreign=True)
    assert {one.service.rpartition(".")[2] for one in theirs} == {
        "Authorization",
        "Health",
        "ServerReflection",
    }
    assert not any(one.changes or one.keeps_session or one.for_people for one in theirs)


def test_whom_a_caller_acts_for_matters_wherever_it_is_kept_or_judged() -> None:
    """To everything but the questions of verifiers, and what keeps their sessions."""
    for_people = labels([one for one in methods(foreign=False) if one.for_people])
    assert for_people == (READING | CHANGING) - FOR_VERIFIERS


def test_every_service_of_the_contracts_is_served() -> None:
    """One that nobody registered would only be missed by who calls it."""
    contracts = [
        import_module(f"{v1.__name__}.{one.name}")
        for one in iter_modules(v1.__path__)
        if one.name.endswith("_service_pb2")
    ]
    named = {
        each.full_name
        for contract in contracts
        for each in contract.DESCRIPTOR.services_by_name.values()
    }
    assert named == {one.name for one in SERVICES if not one.foreign}


def test_every_role_is_for_a_service() -> None:
    """A role that lets nobody in anywhere is not worth having."""
    assert {one.access for one in SERVICES} >= set(Role)


class Servicer:
    """Serves every method but one."""

    def __init__(self, without: str = "") -> None:
        self._without = without

    def __getattr__(self, method: str) -> Any:
        if method == self._without:
            raise AttributeError
        return self.serve

    async def serve(self, request: object, context: object) -> bytes:
        return b""


def start(*services: Service) -> None:
    """Registers *services* as the start of the authority does."""
    metrics = CallMetrics(CollectorRegistry())
    guard = Guard(
        cast("Entrance", _Nobody()),
        Mutations(),
        lambda: 0.0,
        Leased(lambda: True),
        metrics,
        Alarms(metrics, boottime),
    )
    add_services(services, cast("Parts", None), grpc.aio.server(), guard)


class _Nobody:
    holds = now = None

    def recognised(self, *_: object) -> None:
        return None

    async def enter(self, *_: object) -> None:
        raise AssertionError


KEYS: Final = replace(service("KeyService"), servicer=lambda _: Servicer())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(KEYS, name="keyauthority.v1.Unlisted"), "Unlisted has no contract"),
        (replace(KEYS, servicer=lambda _: Servicer("RevokeKey")), "KeyService.RevokeKey"),
        (replace(KEYS, room=Room("issuing", 0)), "KeyService.IssueKey has no places"),
        (replace(KEYS, access=Access.OPEN), "KeyService.IssueKey lets strangers change"),
        (replace(KEYS, session_methods={"Join": Room("syncing", 1)}), "KeyService has no Join"),
        (replace(KEYS, quick={"Check": lambda _: lambda *_: None}), "KeyService has no Check"),
        (
            replace(KEYS, name="grpc.health.v1.Health", foreign=True),
            "Health.Watch has no places",
        ),
    ],
    ids=[
        "no contract",
        "no method",
        "no places",
        "open",
        "no session method",
        "no quick",
        "no streams",
    ],
)
async def test_what_is_missing_ends_the_start(wrong: Service, why: str) -> None:
    """No call ever finds a service half there."""
    start(KEYS)
    with pytest.raises(ServiceError, match=why):
        start(wrong)


async def test_a_service_is_served_once() -> None:
    """A second descriptor of the same service would take its place."""
    with pytest.raises(ServiceError, match="more than once"):
        start(KEYS, KEYS)


def test_a_descriptor_says_all() -> None:
    """One without access, places or a servicer can't be written down."""
    incomplete: Any = Service
    for missing in ("access", "room", "servicer"):
        parts = {name: getattr(KEYS, name) for name in ("name", "access", "room", "servicer")}
        del parts[missing]
        with pytest.raises(TypeError, match=missing):
            incomplete(**parts)
