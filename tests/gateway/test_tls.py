"""TLS towards clients and towards the authority."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
from aiohttp import ClientSession

from tests.gateway.certificates import make_certificate
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, serving


async def test_clients_are_served_over_tls(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    tmp_path: Path,
    http: ClientSession,
) -> None:
    """With the certificate they were promised; plaintext gets nowhere."""
    certificate, key = make_certificate(tmp_path)
    port = await start_gateway(tls_cert=certificate, tls_key=key)
    trust = ssl.create_default_context(cafile=str(certificate))
    headers = {"Authorization": f"Bearer {authority.issue()}"}

    url = f"https://localhost:{port}/v1/models"
    async with http.get(url, headers=headers, ssl=trust) as response:
        assert response.status == 200
        assert await response.json() == {"object": "fake"}
    assert await exchange(port, head()) == b""


async def test_the_authority_is_asked_over_tls(
    start_gateway: StartGateway, tmp_path: Path, http: ClientSession
) -> None:
    """Its certificate is checked against the CA that was named."""
    certificate, key = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    other = tmp_path / "other"
    other.mkdir()
    stranger, _ = make_certificate(other)
    async with serving(RecordingAuthority(), credentials) as authority:
        address = authority.address.replace("127.0.0.1", "localhost")
        headers = {"Authorization": f"Bearer {authority.issue()}"}

        trusting = await start_gateway(authority=address, tls_ca=certificate)
        doubting = await start_gateway(authority=address, tls_ca=stranger)

        async with http.get(f"http://127.0.0.1:{trusting}/v1/x", headers=headers) as response:
            assert response.status == 200
        async with http.get(f"http://127.0.0.1:{doubting}/v1/x", headers=headers) as response:
            assert response.status == 503
