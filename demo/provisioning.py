"""What the demo needs in the books: credentials for gateway and console, a workspace, a key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from demo.settings import DemoError
from keyauthority.base.process.files import write_private
from keyauthority.client import bearer_metadata, load_token
from keyauthority.v1 import (
    caller_service_pb2,
    caller_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
    workspace_service_pb2,
    workspace_service_pb2_grpc,
)

WORKSPACE: Final = "demo"
TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The files with the credentials of gateway and console, and the demo key."""

    gateway_token: Path
    console_token: Path
    key: DemoKey


@dataclass(frozen=True, slots=True)
class DemoKey:
    """A key that works. `fresh` says that it is new, though there had been another."""

    id: str
    file: Path
    fresh: bool


class Provisioning:
    """Makes what is missing; what is there already is used again."""

    def __init__(self, channel: grpc.Channel, data_dir: Path) -> None:
        self._channel = channel
        self._data_dir = data_dir
        self._metadata = bearer_metadata(load_token(data_dir / "root.token"))

    def gateway_token(self) -> Path:
        """The file with the gateway's credential."""
        return self._token("gateway", [caller_service_pb2.CALLER_ROLE_VERIFIER])

    def console_token(self) -> Path:
        """The file with the console's credential."""
        roles = [caller_service_pb2.CALLER_ROLE_ISSUER, caller_service_pb2.CALLER_ROLE_ADMIN]
        return self._token("console", roles, acts_for_people=True)

    def key(self) -> DemoKey:
        """A key that works: the one of the last run if it does, else a new one."""
        path = self._data_dir / "demo.key"
        had_one = path.exists()
        if had_one and (key_id := self._works(path.read_text().strip())):
            return DemoKey(key_id, path, fresh=False)
        keys = key_service_pb2_grpc.KeyServiceStub(self._channel)
        request = key_service_pb2.IssueKeyRequest(workspace_id=self._workspace(), name="demo")
        issued = keys.IssueKey(request, metadata=self._metadata, timeout=TIMEOUT)
        write_private(path, issued.secret + "\n")
        return DemoKey(issued.key.id, path, fresh=had_one)

    def _token(
        self,
        name: str,
        roles: list[caller_service_pb2.CallerRole.ValueType],
        *,
        acts_for_people: bool = False,
    ) -> Path:
        path = self._data_dir / f"{name}.token"
        if not path.exists():
            callers = caller_service_pb2_grpc.CallerServiceStub(self._channel)
            request = caller_service_pb2.CreateCallerRequest(
                name=f"demo {name} {secrets.token_hex(4)}",
                roles=roles,
                acts_for_people=acts_for_people,
            )
            created = callers.CreateCaller(request, metadata=self._metadata, timeout=TIMEOUT)
            write_private(path, created.token + "\n")
        return path

    def _works(self, secret: str) -> str:
        verification = verification_service_pb2_grpc.VerificationServiceStub(self._channel)
        request = verification_service_pb2.VerifyRequest(secret=secret)
        answer = verification.Verify(request, metadata=self._metadata, timeout=TIMEOUT)
        valid = answer.verdict == verification_service_pb2.VERDICT_VALID
        return answer.key.id if valid else ""

    def _workspace(self) -> str:
        workspaces = workspace_service_pb2_grpc.WorkspaceServiceStub(self._channel)
        listing = workspace_service_pb2.ListWorkspacesRequest(page_size=1_000)
        listed = workspaces.ListWorkspaces(listing, metadata=self._metadata, timeout=TIMEOUT)
        for workspace in listed.workspaces:
            if workspace.name == WORKSPACE and not workspace.suspended:
                return workspace.id
        request = workspace_service_pb2.CreateWorkspaceRequest(name=WORKSPACE)
        created = workspaces.CreateWorkspace(request, metadata=self._metadata, timeout=TIMEOUT)
        return created.workspace.id


def provision(address: str, data_dir: Path) -> Provisioned:
    """What the demo needs, made where it is missing; raises `DemoError`."""
    try:
        with grpc.insecure_channel(address) as channel:
            provisioning = Provisioning(channel, data_dir)
            return Provisioned(
                provisioning.gateway_token(), provisioning.console_token(), provisioning.key()
            )
    except grpc.RpcError as error:
        raise DemoError(f"the authority refused the demo's set-up: {error.details()}") from None
