"""The official `openai` clients for Node against the gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.edge import Edge
from tests.e2e.processes import eventually, run

FOLDER = Path(__file__).with_name("node")
NEEDS_NODE = {"openai-6": 20, "openai-7": 22}


class Client:
    """A client in a Node process of its own, which stays connected between calls."""

    def __init__(self, node: subprocess.Popen[str]) -> None:
        self._node = node

    def __call__(self, command: str) -> dict[str, Any]:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(command + "\n")
        self._node.stdin.flush()
        answer: dict[str, Any] = json.loads(self._node.stdout.readline())
        return answer


Connect = Callable[..., Client]


@pytest.fixture(params=NEEDS_NODE)
def connect(node: str, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of an edge, with a key."""
    package: str = request.param
    version = run([node, "--version"]).stdout
    if int(version.lstrip("v").split(".")[0]) < NEEDS_NODE[package]:
        pytest.skip(
            f"{package} needs Node {NEEDS_NODE[package]}, and this is {version.strip()}: install it"
        )
    with ExitStack() as stack:

        def client(edge: Edge, secret: str, retries: int = 0) -> Client:
            given = {"OPENAI_API_KEY": secret, "OPENAI_BASE_URL": f"{edge.url}/v1"}
            given["MAX_RETRIES"] = str(retries)
            process = subprocess.Popen(
                [node, "client.js", package],
                cwd=FOLDER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **given},
            )
            stack.enter_context(process)
            return Client(process)

        yield client


def refusal(kind: str, status: int, code: str, type_: str) -> dict[str, Any]:
    return {"kind": kind, "status": status, "code": code, "type": type_}


def without_message(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["message"]
    return {name: value for name, value in answer.items() if name != "message"}


INVALID_KEY = {
    **refusal("AuthenticationError", 401, "invalid_key", "authentication_error"),
    "message": "invalid api key",
}


def test_a_key_gets_answers_until_it_is_revoked(
    edge: Edge, workspace: str, connect: Connect
) -> None:
    """Whole and streamed; the first call that begins after RevokeKey returned is refused."""
    key, secret = edge.operator.issue(workspace)
    client = connect(edge, secret)
    said = f"You said: Hello (billed to {workspace})"
    assert "google/gemini-3-flash" in client("models")["result"]
    assert client("model") == {"result": "google/gemini-3-flash"}
    assert client("ask") == client("stream") == {"result": said}

    edge.operator.revoke(key.id)

    assert client("ask") == INVALID_KEY
    assert client("stream") == INVALID_KEY


def test_a_missing_key_and_a_wrong_one_are_told_apart(edge: Edge, connect: Connect) -> None:
    """By their code; both are authentication errors."""
    client = connect(edge, "nonsense")

    assert client("ask") == INVALID_KEY
    assert without_message(client("anonymous")) == refusal(
        "AuthenticationError", 401, "missing_auth", "authentication_error"
    )


def test_an_expired_key_says_so(edge: Edge, workspace: str, connect: Connect) -> None:
    """Once its time is over."""
    _, secret = edge.operator.issue(workspace, lasting=timedelta(milliseconds=200))
    client = connect(edge, secret)

    refused = eventually("the key expires", lambda: (a := client("models")).get("kind") and a)

    assert without_message(refused) == refusal(
        "AuthenticationError", 401, "expired_key", "authentication_error"
    )


def test_a_suspended_workspaces_key_is_denied(edge: Edge, workspace: str, connect: Connect) -> None:
    """As a permission error: the key itself is good."""
    _, secret = edge.operator.issue(workspace)
    edge.operator.suspend(workspace)

    assert without_message(connect(edge, secret)("ask")) == refusal(
        "PermissionDeniedError", 403, "workspace_suspended", "permission_error"
    )


def test_an_outage_of_the_authority_is_never_a_refusal(connect: Connect, own_edge: Edge) -> None:
    """503, for a good key as for a wrong one."""
    _, secret = own_edge.operator.issue(own_edge.operator.workspace())
    own_edge.authority.stop()

    assert without_message(connect(own_edge, secret)("ask")) == refusal(
        "InternalServerError", 503, "verification_unavailable", "server_error"
    )


def test_an_empty_balance_costs_one_refused_request(billing_edge: Edge, connect: Connect) -> None:
    """No retries, with type and code; when a top-up has returned, the next request is answered."""
    workspace = billing_edge.operator.workspace()
    client = connect(billing_edge, billing_edge.operator.issue(workspace)[1], retries=2)
    before = billing_edge.outcomes("credit_balance_exhausted")

    assert without_message(client("ask")) == refusal(
        "APIError", 402, "credit_balance_exhausted", "insufficient_quota"
    )
    assert billing_edge.outcomes("credit_balance_exhausted") == before + 1
    billing_edge.operator.top_up(workspace, 10**9)
    said = f"You said: Hello (billed to {workspace})"
    assert client("ask") == client("stream") == {"result": said}


def test_credits_that_are_held_are_waited_for(billing_edge: Edge, connect: Connect) -> None:
    """By the client itself, which is answered once the running request has ended."""
    workspace = billing_edge.operator.workspace()
    billing_edge.operator.top_up(workspace, 900)
    _, secret = billing_edge.operator.issue(workspace)
    talking, asking = (connect(billing_edge, secret, retries=2) for _ in range(2))
    before = billing_edge.outcomes("in_flight_budget_exhausted")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(talking, "talk")
        eventually("it runs", billing_edge.holds)
        assert asking("ask") == {"result": f"You said: Hello (billed to {workspace})"}
        assert "result" in running.result()
    assert billing_edge.outcomes("in_flight_budget_exhausted") > before
