"""HAProxy in front of the gateway: TLS and HTTP/2 for clients."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from keyauthority.edge.envelope import Refusal
from tests.certificates import CertificateAuthority
from tests.edges.proxies import HAPROXY, Place, Proxy, patiently, program_of, started
from tests.edges.stage import Stage
from tests.gateway.parts import Answered, parse

pytestmark = pytest.mark.asyncio(loop_scope="module")

Ask = Callable[..., Awaitable[Answered]]


def _front(place: Place) -> list[str]:
    certificate, key = CertificateAuthority(place.folder, "ca").sign("localhost")
    pem = place.folder / "api.pem"
    pem.write_bytes(certificate.read_bytes() + key.read_bytes())
    file = place.copy("haproxy/front.cfg", clients=8443, gateway=8080)
    file.write_text(file.read_text().replace("/etc/haproxy/api.pem", str(pem)))
    return ["-db", "-f", str(file)]


FRONT = Proxy("haproxy-front", HAPROXY.program, HAPROXY.brought_by, _front)


@pytest.fixture(scope="module")
def curl() -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs curl: install the package curl")
    return program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(
    curl: str, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ask]:
    """Asks by HTTP/2, unless flags say otherwise."""
    program = program_of(FRONT)
    if program is None:
        pytest.skip(f"needs {FRONT.program}: {FRONT.brought_by}")
    folder = tmp_path_factory.mktemp("front")
    ports = {"gateway": stage.gateway_relay.port, "api": 9, "authority": 9}
    with started(FRONT, program, folder, "", **ports) as edge:

        async def ask(*flags: str, target: str = "/v1/models", version: str = "2") -> Answered:
            url = f"https://localhost:{edge.port}{target}"
            to = ["--resolve", f"localhost:{edge.port}:127.0.0.1", "--cacert", f"{folder}/ca.pem"]
            command = [curl, "--silent", "--include", f"--http{version}", *to, *flags, url]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            output, errors = await process.communicate()
            assert output.startswith(f"HTTP/{version} ".encode()), (output, errors)
            return parse(output)

        yield ask


async def with_verdict(ask: Ask, *flags: str, **options: str) -> Answered:
    """The answer, once there is a verdict: on a busy machine it may be late."""

    async def once() -> Answered | None:
        answer = await ask(*flags, **options)
        return None if answer.status == Refusal.VERIFICATION_UNAVAILABLE.status else answer

    return await patiently(once)


def bearer(secret: str) -> tuple[str, str]:
    return "--header", f"Authorization: Bearer {secret}"


@pytest.mark.parametrize("version", ["2", "1.1"])
async def test_a_good_key_reaches_the_api_through_the_gateway(
    ask: Ask, stage: Stage, version: str
) -> None:
    """Whichever protocol the client speaks."""
    answer = await with_verdict(ask, *bearer(stage.keys.good), version=version)

    assert (answer.status, json.loads(answer.body)) == (200, {"object": "fake"})
    [received] = stage.api.received
    assert received.header("x-opentoken-workspace-id") == [stage.workspace_id]
    assert stage.keys.good not in str(received.headers)


async def test_a_refusal_is_the_gateways(ask: Ask, stage: Stage) -> None:
    answer = await with_verdict(ask, *bearer(stage.keys.revoked))

    assert (answer.status, answer.body) == (401, Refusal.INVALID_KEY.body)
    assert answer.header("content-type") == ["application/json"]


@pytest.mark.parametrize("target", ["/authz", "/readyz", "/metrics", "/authz/v1/x"])
async def test_what_is_not_for_the_public_is_not_there(ask: Ask, stage: Stage, target: str) -> None:
    answer = await ask(*bearer(stage.keys.good), target=target)

    assert (answer.status, answer.body) == (404, Refusal.NOT_FOUND.body)


async def test_events_arrive_one_by_one_over_http2(ask: Ask, stage: Stage, tmp_path: Path) -> None:
    """The API sends the second when the first has been written by the client."""
    arrived = tmp_path / "events"

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 0\n\n")

        async def has_arrived() -> bool | None:
            return True if arrived.exists() and b"data: 0" in arrived.read_bytes() else None

        await patiently(has_arrived)
        await response.write(b"data: 1\n\n")
        return response

    await with_verdict(ask, *bearer(stage.keys.good))
    stage.api.respond = respond
    # What curl writes goes to the file at once, and is shown afterwards.
    flags = ("--no-buffer", "--dump-header", "-", "--output", str(arrived))
    answer = await ask(*bearer(stage.keys.good), *flags, "--no-include")

    assert answer.status == 200
    assert arrived.read_bytes() == b"data: 0\n\ndata: 1\n\n"


async def test_without_a_gateway_the_answer_is_503_with_an_envelope(ask: Ask, stage: Stage) -> None:
    """And it ends when a gateway is there again."""
    async with stage.without_verdicts():
        answer = await ask(*bearer(stage.keys.good))
        assert answer.status == 503
        assert json.loads(answer.body)["error"]["code"] == "verification_unavailable"
        assert answer.header("content-type") == ["application/json"]

    assert (await with_verdict(ask, *bearer(stage.keys.good))).status == 200
