"""Every service of the authority: a new one is a line here."""

from __future__ import annotations

from typing import Final

from google.rpc import error_details_pb2  # noqa: F401  # lets reflection describe what errors carry

from keyauthority.domain.callers import Role
from keyauthority.rpc.admission import (
    ADMINISTERING,
    HEALTH,
    ISSUING,
    REFLECTING,
    SYNCING,
    VERIFYING,
)
from keyauthority.rpc.audit import AuditServicer
from keyauthority.rpc.callers import CallerServicer
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.operations import OperationsServicer
from keyauthority.rpc.quick import QuickBatchVerify, QuickVerify
from keyauthority.rpc.reflection import ReflectionServicer, ReflectionV1Servicer
from keyauthority.rpc.service import Access, Service
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
        quick={"Verify": QuickVerify, "BatchVerify": QuickBatchVerify},
    ),
    Service(_V1 + "KeyService", Role.ISSUER, ISSUING, KeyServicer),
    Service(_V1 + "WorkspaceService", Role.ADMIN, ADMINISTERING, WorkspaceServicer),
    Service(_V1 + "CallerService", Role.ADMIN, ADMINISTERING, CallerServicer),
    Service(_V1 + "AuditService", Role.ADMIN, ADMINISTERING, AuditServicer),
    Service(_V1 + "OperationsService", Role.ADMIN, ADMINISTERING, OperationsServicer),
    Service("grpc.health.v1.Health", Access.OPEN, HEALTH, lambda of: of.health, of_grpc=True),
    Service(
        _REFLECTION + "v1.ServerReflection",
        Access.AUTHENTICATED,
        REFLECTING,
        ReflectionV1Servicer,
        of_grpc=True,
    ),
    Service(
        _REFLECTION + "v1alpha.ServerReflection",
        Access.AUTHENTICATED,
        REFLECTING,
        ReflectionServicer,
        of_grpc=True,
    ),
)
"""Who may call what: what is not listed is served to nobody."""
