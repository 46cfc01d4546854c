"""TLS towards clients and towards the authority."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import pytest
from aiohttp import ClientSession

from keyauthority.base.process.settings import SettingsError
from tests.certificates import CertificateAuthority
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
    ca = CertificateAuthority(tmp_path, "ca")
    certificate, key = ca.sign("localhost")
    port = await start_gateway(tls_cert=certificate, tls_key=key)
    trust = ssl.create_default_context(cafile=str(ca.path))
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
    ca = CertificateAuthority(tmp_path, "ca")
    certificate, key = ca.sign("localhost")
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    stranger = CertificateAuthority(tmp_path, "stranger")
    async with serving(RecordingAuthority(), credentials) as authority:
        address = authority.address.replace("127.0.0.1", "localhost")
        headers = {"Authorization": f"Bearer {authority.issue()}"}

        trusting = await start_gateway(authority=address, tls_ca=ca.path)
        doubting = await start_gateway(authority=address, tls_ca=stranger.path)

        async with http.get(f"http://127.0.0.1:{trusting}/v1/x", headers=headers) as response:
            assert response.status == 200
        async with http.get(f"http://127.0.0.1:{doubting}/v1/x", headers=headers) as response:
            assert response.status == 503


async def test_a_certificate_is_shown_to_an_authority_that_asks(
    start_gateway: StartGateway, tmp_path: Path, http: ClientSession
) -> None:
    """One that connects nobody without is asked with it, and is out of reach without."""
    ca = CertificateAuthority(tmp_path, "ca")
    certificate, key = ca.sign("localhost")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=ca.pem,
        require_client_auth=True,
    )
    async with serving(RecordingAuthority(), credentials) as authority:
        address = authority.address.replace("127.0.0.1", "localhost")
        headers = {"Authorization": f"Bearer {authority.issue()}"}
        settings = {"authority": address, "tls_ca": ca.path}

        showing = await start_gateway(**settings, tls_client_cert=certificate, tls_client_key=key)
        hiding = await start_gateway(**settings)

        async with http.get(f"http://127.0.0.1:{showing}/v1/x", headers=headers) as response:
            assert response.status == 200
        async with http.get(f"http://127.0.0.1:{hiding}/v1/x", headers=headers) as response:
            assert response.status == 503


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tls_client_cert": Path("c.pem"), "tls_ca": Path("a.pem")}, "need one another"),
        ({"tls_client_key": Path("k.pem"), "tls_ca": Path("a.pem")}, "need one another"),
        ({"tls_client_cert": Path("c.pem"), "tls_client_key": Path("k.pem")}, "needs --tls-ca"),
    ],
)
async def test_half_a_certificate_is_refused(
    start_gateway: StartGateway, settings: dict[str, Path], says: str
) -> None:
    """In a sentence, before anything starts."""
    with pytest.raises(SettingsError, match=says):
        await start_gateway(**settings)
