"""Requests made up from `docs/openapi.yaml`, good ones and bad, against the real gateway."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response, checks

from keyauthority.v1.price_pb2 import Rates
from tests.e2e.edge import edge_running

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
REQUESTS = 20_000 if os.environ.get("TEST_LONG") else 1_000

SCHEMA = schemathesis.openapi.from_path(DOCUMENT)
CASES = st.one_of([SCHEMA.as_strategy(mode) for mode in GenerationMode])
CONFORMANCE = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

Keys = dict[str, str]


class Anything(BaseHTTPRequestHandler):
    """An upstream that agrees to all: every other answer is the gateway's own."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def agreeing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Anything) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Clients:
    """A connection, and keys of every kind to use it with."""

    def __init__(self, url: str, session: requests.Session, keys: Keys) -> None:
        self.url, self._session, self._keys = url, session, keys

    def call(self, case: Case[Any], kind: str) -> Response:
        if kind != "made up":
            case.headers.pop("Authorization", None)
        headers = {"Authorization": f"Bearer {self._keys[kind]}"} if kind in self._keys else {}
        return case.call(base_url=self.url, session=self._session, headers=headers, timeout=10)


@pytest.fixture(scope="module", params=["off", "enforce"])
def clients(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Clients]:
    """Of a gateway without billing, and of one with it."""
    folder = tmp_path_factory.mktemp("openapi")
    spool = folder / "spool"
    spool.mkdir(mode=0o700)
    billing = ("--billing", request.param, "--spool", str(spool), "--unpriced", "default")
    with (
        agreeing() as upstream,
        edge_running(folder, "--max-refusals", "0", "--upstream", upstream, *billing) as edge,
        requests.Session() as session,
    ):
        session.trust_env = False
        operator = edge.operator
        operator.price("*", Rates(request=1))
        good, secret = operator.issue(operator.workspace())
        operator.top_up(good.workspace_id, 10**9)
        _, poor = operator.issue(operator.workspace())
        revoked, old = operator.issue(good.workspace_id)
        operator.revoke(revoked.id)
        _, denied = operator.issue(suspended := operator.workspace())
        operator.suspend(suspended)
        keys = {"good": secret, "revoked": old, "suspended": denied, "poor": poor}
        yield Clients(edge.url, session, keys)


KINDS = ("good", "poor", "revoked", "suspended", "none", "made up")


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_every_answer_is_as_described(clients: Clients) -> None:
    """No request is answered 500; every refusal is a documented one, with its headers."""
    seen: set[int] = set()

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=CASES, kind=st.sampled_from(KINDS))
    def check(case: Case[Any], kind: str) -> None:
        response = clients.call(case, kind)
        seen.add(response.status_code)
        case.validate_response(response, checks=CONFORMANCE)
        assert "x-request-id" in response.headers
        assert (response.status_code == 401) == ("www-authenticate" in response.headers)

    check()
    assert {200, 401, 403} <= seen
