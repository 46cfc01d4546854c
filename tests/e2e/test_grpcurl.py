"""grpcurl against the authority's reflection, as an operator would type it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.e2e.edge import Edge
from tests.e2e.processes import run

Grpcurl = Callable[..., "CompletedProcess[str]"]

AUTHORIZED = ("-expand-headers", "-H", "authorization: Bearer ${TOKEN}")
VERIFY = "keyauthority.v1.VerificationService/Verify"


@pytest.fixture
def grpcurl(grpcurl_program: str, edge: Edge) -> Grpcurl:
    """Calls it with flags, then what it is to do; the gateway's token is in its environment."""

    def call(*flags: str, do: tuple[str, ...], request: Any = None) -> CompletedProcess[str]:
        data = () if request is None else ("-d", "@")
        return run(
            [grpcurl_program, "-plaintext", "-max-time", "10", *flags, *data, edge.address, *do],
            input=json.dumps(request),
            env={**os.environ, "TOKEN": edge.verifier_token},
        )

    return call


def test_reflection_lists_the_services(grpcurl: Grpcurl) -> None:
    """All of them, to any authenticated caller."""
    listed = grpcurl(*AUTHORIZED, do=("list",))

    assert listed.stdout.split() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "keyauthority.v1.AuditService",
        "keyauthority.v1.CallerService",
        "keyauthority.v1.IdentityService",
        "keyauthority.v1.KeyService",
        "keyauthority.v1.LedgerService",
        "keyauthority.v1.OperationsService",
        "keyauthority.v1.SpendingService",
        "keyauthority.v1.VerificationService",
        "keyauthority.v1.WorkspaceService",
    ], listed.stderr


def test_reflection_describes_a_service(grpcurl: Grpcurl) -> None:
    """With its methods and their messages."""
    service = grpcurl(*AUTHORIZED, do=("describe", "keyauthority.v1.KeyService"))
    message = grpcurl(*AUTHORIZED, do=("describe", "keyauthority.v1.IssueKeyRequest"))

    assert "rpc RevokeKey ( .keyauthority.v1.RevokeKeyRequest )" in service.stdout
    assert "string workspace_id = 1;" in message.stdout


def test_reflection_describes_a_method(grpcurl: Grpcurl) -> None:
    """By its name, as ghz asks for it too."""
    method = grpcurl(*AUTHORIZED, do=("describe", "keyauthority.v1.KeyService.IssueKey"))

    assert "rpc IssueKey ( .keyauthority.v1.IssueKeyRequest )" in method.stdout, method.stderr


def test_reflection_is_not_for_strangers(grpcurl: Grpcurl) -> None:
    """Without a token nothing is told but that one is needed."""
    listed = grpcurl(do=("list",))

    assert listed.returncode != 0
    assert listed.stdout == ""
    assert "service token" in listed.stderr


def test_verify_answers_with_the_verdict(grpcurl: Grpcurl, edge: Edge, workspace: str) -> None:
    """To a verifier's token; the secret goes in through standard input."""
    key, secret = edge.operator.issue(workspace)

    valid = grpcurl(*AUTHORIZED, do=(VERIFY,), request={"secret": secret})
    edge.operator.revoke(key.id)
    revoked = grpcurl(*AUTHORIZED, do=(VERIFY,), request={"secret": secret})

    answer = json.loads(valid.stdout)
    assert answer["verdict"] == "VERDICT_VALID"
    assert answer["key"]["id"] == key.id
    assert json.loads(revoked.stdout)["verdict"] == "VERDICT_REVOKED"


def test_verify_without_a_token_is_unauthenticated(grpcurl: Grpcurl) -> None:
    """And the error says in detail, to a program too, what is missing."""
    # Reflection gets the token, so that it is Verify itself that refuses.
    reflecting = ("-expand-headers", "-reflect-header", "authorization: Bearer ${TOKEN}")

    refused = grpcurl(*reflecting, do=(VERIFY,), request={"secret": "any"})

    assert refused.returncode == 64 + 16
    assert "Code: Unauthenticated" in refused.stderr
    assert "type.googleapis.com/google.rpc.ErrorInfo" in refused.stderr
    assert '"reason": "CREDENTIAL_MISSING"' in refused.stderr


def test_a_verifier_may_not_issue(grpcurl: Grpcurl, workspace: str) -> None:
    """The error names the role that is missing."""
    request = {"workspaceId": workspace, "name": "mine"}
    refused = grpcurl(*AUTHORIZED, do=("keyauthority.v1.KeyService/IssueKey",), request=request)

    assert "Code: PermissionDenied" in refused.stderr
    assert '"role": "issuer"' in refused.stderr
