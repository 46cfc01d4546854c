"""Every service of the authority, and how a server serves them. A new service is a line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
import grpc.aio
from google.rpc import error_details_pb2  # noqa: F401  # lets reflection describe what errors carry

from keyauthority.domain.callers import Role
from keyauthority.rpc import envoy_contract
from keyauthority.rpc.admission import (
    ADMINISTERING,
    BILLING,
    HEALTH,
    IDENTIFYING,
    ISSUING,
    REFLECTING,
    SETTLING,
    SYNCING,
    VERIFYING,
)
from keyauthority.rpc.audit import AuditServicer
from keyauthority.rpc.callers import CallerServicer
from keyauthority.rpc.envoy import AuthorizationServicer, QuickCheck
from keyauthority.rpc.guard import Choose, Guard
from keyauthority.rpc.identity import IdentityServicer
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.ledger import LedgerServicer
from keyauthority.rpc.operations import OperationsServicer
from keyauthority.rpc.quick import QuickBatchVerify, QuickVerify
from keyauthority.rpc.reflection import ReflectionServicer, ReflectionV1Servicer
from keyauthority.rpc.service import Access, Parts, Service, ServiceError
from keyauthority.rpc.spending import SpendingServicer
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.rpc.workspaces import WorkspaceServicer
from keyauthority.v1 import error_reason_pb2  # noqa: F401  # likewise

_V1: Final = "keyauthority.v1."
_REFLECTION: Final = "grpc.reflection."

SERVICES: Final = (
    Service(
        _V1 + "VerificationService",
        Role.VERIFIER,
        VERIFYING,
        VerificationServicer,
        session_methods={"Sync": SYNCING, "Leave": SYNCING},
        quick={
            "Verify": lambda parts: QuickVerify(parts).answer,
            "BatchVerify": lambda parts: QuickBatchVerify(parts).answer,
        },
    ),
    Service(_V1 + "SpendingService", Role.VERIFIER, SETTLING, SpendingServicer),
    Service(_V1 + "KeyService", Role.ISSUER, ISSUING, KeyServicer),
    Service(_V1 + "WorkspaceService", Role.ADMIN, ADMINISTERING, WorkspaceServicer),
    Service(_V1 + "CallerService", Role.ADMIN, ADMINISTERING, CallerServicer),
    Service(_V1 + "LedgerService", Role.BILLER, BILLING, LedgerServicer),
    Service(_V1 + "AuditService", Role.ADMIN, ADMINISTERING, AuditServicer),
    Service(_V1 + "OperationsService", Role.ADMIN, ADMINISTERING, OperationsServicer),
    Service(_V1 + "IdentityService", Access.AUTHENTICATED, IDENTIFYING, IdentityServicer),
    Service(
        "envoy.service.auth.v3.Authorization",
        Role.VERIFIER,
        VERIFYING,
        AuthorizationServicer,
        quick={"Check": lambda parts: QuickCheck(parts).answer},
        foreign=True,
        pool=envoy_contract.POOL,
    ),
    Service("grpc.health.v1.Health", Access.OPEN, HEALTH, lambda parts: parts.health, foreign=True),
    Service(
        _REFLECTION + "v1.ServerReflection",
        Access.AUTHENTICATED,
        REFLECTING,
        ReflectionV1Servicer,
        foreign=True,
    ),
    Service(
        _REFLECTION + "v1alpha.ServerReflection",
        Access.AUTHENTICATED,
        REFLECTING,
        ReflectionServicer,
        foreign=True,
    ),
)
"""Who may call what: a service that is not listed is served to nobody."""


def add_services(
    services: Sequence[Service], parts: Parts, server: grpc.aio.Server, guard: Guard
) -> None:
    """Has *server* serve *services*, each method wrapped once by *guard*.

    Raises `ServiceError` if a servicer lacks a method, or a service is listed twice.
    """
    methods: dict[str, Choose] = {}
    for service in services:
        servicer = service.servicer(parts)
        for method in service.methods():
            behave = getattr(servicer, method.contract.name, None)
            if behave is None:
                raise ServiceError(f"{type(servicer).__name__} doesn't serve {method.label}")
            if method.path in methods:
                raise ServiceError(f"{method.service} is there more than once")
            quick = service.quick.get(method.contract.name)
            methods[method.path] = guard.wrap(method, behave, quick and quick(parts))
    server.add_generic_rpc_handlers((_Methods(methods),))


class _Methods(grpc.GenericRpcHandler):
    # grpc.aio finds a registered method without a look at the headers, and whenever a call comes it
    # waits anew for the next call of each registered method: with thirty, that costs more than the
    # rest of a call.

    def __init__(self, methods: Mapping[str, Choose]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        choose = self._methods.get(handler_call_details.method)
        return choose and choose(handler_call_details.invocation_metadata)
