"""What operators see: metrics and an access log, and never a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from gateway.observe import OUTCOMES
from keyauthority.base.process.telemetry import configure_logging
from keyauthority.client import redact
from keyauthority.scopes.catalogue import Allowance, Scope
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    TOKEN,
    Explosive,
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
    valid_reply,
)
from tests.gateway.test_streaming import EVENT, SSE, Stream, break_off

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def debugging(restored_logging: None) -> None:
    """Logs everything there is."""
    configure_logging("debug", redact)


@pytest.fixture
def log(debugging: None, capsys: pytest.CaptureFixture[str]) -> Log:
    """Reads what was logged since the last time."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


async def test_each_request_is_one_line(
    start_gateway: StartGateway, authority: RecordingAuthority, log: Log
) -> None:
    """Who asked for what and how it ended, without the query string."""
    port = await start_gateway(access_log=True)
    secret = authority.issue()

    target = "/v1/chat?token=hush"
    answer = parse(await exchange(port, head(f"Authorization: Bearer {secret}", target=target)))

    (line,) = log()
    assert {name: line[name] for name in line if name not in {"time", "duration_ms"}} == {
        "event": "request",
        "level": "info",
        "request_id": answer.header("x-request-id")[0],
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/v1/chat",
        "status": 200,
        "outcome": "forwarded",
        "workspace_id": "ws_1",
        "key_id": "key_1",
    }


async def test_refusals_and_malformed_requests_are_logged_too(
    start_gateway: StartGateway, log: Log
) -> None:
    """With the code that the client got."""
    port = await start_gateway(access_log=True)
    await exchange(port, head())
    await exchange(port, b"garbage\r\n\r\n")

    assert [(line["status"], line["outcome"]) for line in log()] == [
        (401, "missing_auth"),
        (400, "bad_request"),
    ]


async def test_an_access_log_that_is_off_says_nothing(port: int, log: Log) -> None:
    """Not even about refusals."""
    await exchange(port, head())

    assert log() == []


async def test_no_secret_reaches_the_log(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    debugging: None,
) -> None:
    """Good and bad keys, our token, the upstream's key: in headers, paths, garbage and faults."""
    key_file = tmp_path / "upstream.key"
    key_file.write_text("upstream-canary")
    key_file.chmod(0o600)
    port = await start_gateway(access_log=True, upstream_key_file=key_file)
    good, bad = authority.issue(valid_reply("a")), authority.issue(reply(pb.VERDICT_REVOKED))
    stream = Stream(SSE, EVENT)
    stream.then = break_off
    stream.go_on.set()
    upstream.respond = stream.respond

    for secret in (good, bad):
        await exchange(port, head(f"Authorization: Bearer {secret}"))
        await exchange(port, head(f"Authorization: Bearer {secret}", target=f"/v1/{secret}"))
        for encoded in (secret.replace("-", "%2D"), secret.replace("-", "%252d")):
            await exchange(port, head(f"Authorization: Bearer {secret}", target=f"/v1/{encoded}"))
        begun = secret[:64]
        await exchange(port, head(f"Authorization: Bearer {secret}", f"X-Request-Id: {begun}"))
        await exchange(port, head(f"Authorization: Bearer {secret}", "Broken : field"))
        await exchange(port, f"GET /v1/{secret} nonsense\r\n{secret}\r\n\r\n".encode())

    rule = Scope("a", "Anything", (Allowance(None, Explosive(f"it was {good}")),))
    port = await start_gateway(access_log=True, scope_rules=(rule,))
    await exchange(port, head(f"Authorization: Bearer {good}"))

    logged = capsys.readouterr().err
    assert "internal_error" in logged
    assert "[redacted]" in logged
    for canary in (good, bad, TOKEN, "upstream-canary"):
        assert canary not in logged
    for canary in (good, bad):
        assert canary.rpartition("-")[2][8:48] not in logged


async def test_an_outage_is_reported_with_its_reason(start_gateway: StartGateway, log: Log) -> None:
    """Once, not once a request."""
    port = await start_gateway(authority="127.0.0.1:1")
    for _ in range(3):
        await exchange(port, head("Authorization: Bearer some-imported-secret"))

    (line,) = log()
    assert (line["event"], line["reason"]) == ("verification_unavailable", "UNAVAILABLE")


async def test_a_failing_upstream_is_reported_with_its_reason(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, log: Log
) -> None:
    """Clients are not told that it refused our credential; operators are."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401)

    upstream.respond = refuse
    for _ in range(3):
        await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))

    (line,) = log()
    assert (line["event"], line["reason"]) == ("upstream_failed", "it answered 401")


async def test_metrics_count_requests_by_how_they_ended(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    unused_port: int,
    http: ClientSession,
) -> None:
    """From zero on for every outcome, so that a rate has something to start from."""
    listen = f"127.0.0.1:{unused_port}"
    port = await start_gateway(metrics_listen=listen)
    await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))
    await exchange(port, head())
    await exchange(port, head())

    async with http.get(f"http://{listen}/metrics") as response:
        metrics = await response.text()

    counts = {"forwarded": 1.0, "missing_auth": 2.0}
    for outcome in OUTCOMES:
        line = f'gateway_requests_total{{outcome="{outcome}"}} {counts.get(outcome, 0.0)}'
        assert line in metrics
    assert "gateway_verify_seconds_count 1.0" in metrics
    assert "gateway_request_seconds_count 3.0" in metrics
    assert "gateway_upstream_first_byte_seconds_count 1.0" in metrics
    assert 'gateway_connections{state="busy"} 0.0' in metrics
