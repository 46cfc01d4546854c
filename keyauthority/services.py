"""The services of the authority: use cases, wired to the servicers that offer them."""

from __future__ import annotations

import grpc.aio
from google.rpc import error_details_pb2  # noqa: F401  # lets reflection describe what errors carry

from keyauthority.domain.books import Books
from keyauthority.domain.finding import Finding
from keyauthority.domain.importing import Importing
from keyauthority.domain.issuing import Issuing
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.listing_sessions import ListingSessions
from keyauthority.domain.managing_callers import ManagingCallers
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.domain.revoking import Revoking
from keyauthority.domain.revoking_presented import RevokingPresented
from keyauthority.domain.updating import Updating
from keyauthority.replica.replica import Replica
from keyauthority.replica.verdicts import Verdicts
from keyauthority.rpc.audit import AuditServicer
from keyauthority.rpc.callers import CallerServicer
from keyauthority.rpc.keys import KeyServicer, KeyUseCases
from keyauthority.rpc.operations import OperationsServicer
from keyauthority.rpc.pages import Pages
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.rpc.workspaces import WorkspaceServicer
from keyauthority.v1 import error_reason_pb2  # noqa: F401  # likewise
from keyauthority.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from keyauthority.v1.caller_service_pb2_grpc import add_CallerServiceServicer_to_server
from keyauthority.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from keyauthority.v1.operations_service_pb2_grpc import add_OperationsServiceServicer_to_server
from keyauthority.v1.verification_service_pb2_grpc import add_VerificationServiceServicer_to_server
from keyauthority.v1.workspace_service_pb2_grpc import add_WorkspaceServiceServicer_to_server


def add_services(
    server: grpc.aio.Server,
    store: Store,
    books: Books,
    keyring: Keyring,
    clock: Clock,
    replica: Replica,
    verdicts: Verdicts,
    last_used: LastUsed,
) -> None:
    """Registers all of them with *server*."""
    pages = Pages(keyring)
    keys = KeyUseCases(
        issuing=Issuing(books, keyring, last_used),
        finding=Finding(books, store, keyring, last_used),
        updating=Updating(books, last_used),
        revoking=Revoking(books, last_used),
        importing=Importing(books, keyring),
    )
    callers = ManagingCallers(books, keyring)
    workspaces = ManagingWorkspaces(books)
    revoking = RevokingPresented(books, store, keyring)
    verification = VerificationServicer(verdicts, replica.syncing, revoking)
    add_VerificationServiceServicer_to_server(verification, server)
    add_KeyServiceServicer_to_server(KeyServicer(keys, pages, clock), server)
    add_WorkspaceServiceServicer_to_server(WorkspaceServicer(workspaces, pages), server)
    add_CallerServiceServicer_to_server(CallerServicer(callers, pages), server)
    add_AuditServiceServicer_to_server(AuditServicer(ReadingAudit(books), pages), server)
    operations = OperationsServicer(
        ManagingPeppers(books, keyring), ListingSessions(books, store.sessions)
    )
    add_OperationsServiceServicer_to_server(operations, server)
