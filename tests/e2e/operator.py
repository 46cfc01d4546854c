"""What an operator does over gRPC: the arrangements of a test, as one-liners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.v1 import caller_service_pb2 as callers
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import ledger_service_pb2 as ledger
from keyauthority.v1 import operations_service_pb2 as operations
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from keyauthority.v1.caller_service_pb2_grpc import CallerServiceStub
from keyauthority.v1.key_pb2 import KEY_STATE_REVOKED, Key
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.ledger_service_pb2_grpc import LedgerServiceStub
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.price_pb2 import Price, Rates
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub

TIMEOUT = 10.0


class Operator:
    """Calls the authority as *token*'s caller."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self.channel = channel
        self.metadata = (("authorization", f"Bearer {token}"),)
        self._keys = KeyServiceStub(channel)
        self._workspaces = WorkspaceServiceStub(channel)
        self._callers = CallerServiceStub(channel)
        self._operations = OperationsServiceStub(channel)
        self._ledger = LedgerServiceStub(channel)

    def verifier_token(self, name: str) -> str:
        """The token of a new caller that may verify."""
        request = callers.CreateCallerRequest(name=name, roles=[callers.CALLER_ROLE_VERIFIER])
        return self._callers.CreateCaller(request, metadata=self.metadata, timeout=TIMEOUT).token

    def console_token(self, name: str, *, bills: bool = True) -> str:
        """The token of a new caller such as a console needs; without *bills* it sees no credits."""
        request = callers.CreateCallerRequest(
            name=name,
            roles=[
                callers.CALLER_ROLE_ISSUER,
                callers.CALLER_ROLE_ADMIN,
                *([callers.CALLER_ROLE_BILLER] if bills else []),
            ],
            acts_for_people=True,
        )
        return self._callers.CreateCaller(request, metadata=self.metadata, timeout=TIMEOUT).token

    def revoke_caller(self, name: str) -> None:
        """Ends the caller of that name."""
        listed = self._callers.ListCallers(
            callers.ListCallersRequest(), metadata=self.metadata, timeout=TIMEOUT
        )
        [found] = [caller for caller in listed.callers if caller.name == name]
        request = callers.RevokeCallerRequest(caller_id=found.id)
        self._callers.RevokeCaller(request, metadata=self.metadata, timeout=TIMEOUT)

    def workspace(self, name: str = "acme") -> str:
        """The id of a new workspace."""
        request = workspaces.CreateWorkspaceRequest(name=name)
        created = self._workspaces.CreateWorkspace(request, metadata=self.metadata, timeout=TIMEOUT)
        return created.workspace.id

    def suspend(self, workspace_id: str, suspended: bool = True) -> None:
        request = workspaces.UpdateWorkspaceRequest(
            workspace=workspaces.Workspace(id=workspace_id, suspended=suspended),
            update_mask=FieldMask(paths=["suspended"]),
        )
        self._workspaces.UpdateWorkspace(request, metadata=self.metadata, timeout=TIMEOUT)

    def issue(self, workspace_id: str, *, lasting: timedelta | None = None) -> tuple[Key, str]:
        """A new key and its secret."""
        request = keys.IssueKeyRequest(workspace_id=workspace_id, name="test")
        if lasting is not None:
            request.ttl.FromTimedelta(lasting)
        issued = self._keys.IssueKey(request, metadata=self.metadata, timeout=TIMEOUT)
        return issued.key, issued.secret

    def rotate(self, key_id: str, overlap: timedelta = timedelta()) -> str:
        """The key's new secret."""
        duration = Duration()
        duration.FromTimedelta(overlap)
        request = keys.RotateKeyRequest(key_id=key_id, overlap=duration)
        return self._keys.RotateKey(request, metadata=self.metadata, timeout=TIMEOUT).secret

    def revoke(self, key_id: str) -> None:
        request = keys.RevokeKeyRequest(key_id=key_id)
        self._keys.RevokeKey(request, metadata=self.metadata, timeout=TIMEOUT)

    def price(self, model: str, rates: Rates) -> None:
        """Sets what requests for *model* cost."""
        request = ledger.SetPricesRequest(prices=[Price(model=model, path="/v1/*", rates=rates)])
        self._ledger.SetPrices(request, metadata=self.metadata, timeout=TIMEOUT)

    def top_up(self, workspace_id: str, nano_credits: int, purchase_id: str = "purchase 1") -> None:
        request = ledger.TopUpRequest(
            workspace_id=workspace_id, amount_nano_credits=nano_credits, purchase_id=purchase_id
        )
        self._ledger.TopUp(request, metadata=self.metadata, timeout=TIMEOUT)

    def charges(self, workspace_id: str) -> list[int]:
        """What requests of a workspace cost, the newest first."""
        request = ledger.ListEntriesRequest(
            workspace_id=workspace_id, kind=ledger.ENTRY_KIND_CHARGE
        )
        listed = self._ledger.ListEntries(request, metadata=self.metadata, timeout=TIMEOUT)
        return [-entry.amount_nano_credits for entry in listed.entries]

    def verifiers(self) -> int:
        """How many may answer from a cache, the authority itself included."""
        request = operations.ListSessionsRequest()
        listed = self._operations.ListSessions(request, metadata=self.metadata, timeout=TIMEOUT)
        return len(listed.sessions)

    def verify(self, secret: str) -> str:
        """The name of the verdict."""
        request = verification.VerifyRequest(secret=secret, fresh=True)
        stub = VerificationServiceStub(self.channel)
        answer = stub.Verify(request, metadata=self.metadata, timeout=TIMEOUT)
        return verification.Verdict.Name(answer.verdict)

    def is_revoked(self, key_id: str) -> bool:
        request = keys.GetKeyRequest(key_id=key_id)
        key = self._keys.GetKey(request, metadata=self.metadata, timeout=TIMEOUT).key
        return key.state == KEY_STATE_REVOKED


@contextmanager
def operating(address: str, token: str) -> Iterator[Operator]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield Operator(channel, token)
