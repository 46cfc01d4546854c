"""TLS, and client certificates in the place of tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from keyauthority.base.process.lifecycle import StartError
from keyauthority.rpc import listening
from keyauthority.server import serving
from keyauthority.v1.caller_service_pb2 import (
    CreateCallerRequest,
    ListCallersRequest,
    RevokeCallerRequest,
)
from keyauthority.v1.key_service_pb2 import GetKeyRequest
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from tests.certificates import CertificateAuthority
from tests.rpc.parts import Api, reason, settings_in, verdict

Connect = Callable[..., Api]


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    """The certificate authority of everybody in the house."""
    return CertificateAuthority(tmp_path, "house")


@pytest.fixture(params=[False])
async def connect(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    ca: CertificateAuthority,
    running: AsyncExitStack,
) -> AsyncIterator[Connect]:
    """Connects to an authority that answers TLS and, with the parameter, asks for certificates."""
    certificate, key = ca.sign("localhost")
    settings = settings_in(
        tmp_path,
        tls_cert=certificate,
        tls_key=key,
        tls_client_ca=ca.path if request.param else None,
    )
    port = await running.enter_async_context(serving(settings))
    channels = []

    def connect(
        of: CertificateAuthority | None = None, name: str = "client.internal", token: str = ""
    ) -> Api:
        paths = of.sign(name) if of else None
        chain, private = (path.read_bytes() for path in paths) if paths else (None, None)
        credentials = grpc.ssl_channel_credentials(ca.pem, private, chain)
        channels.append(grpc.aio.secure_channel(f"localhost:{port}", credentials))
        return Api(channels[-1], settings.root_token.read_text().strip() if token else "")

    yield connect
    for channel in channels:
        await channel.close()


@pytest.mark.parametrize("left_out", ["certificate", "key"])
async def test_half_a_pair_never_serves_in_plaintext(
    ca: CertificateAuthority, left_out: str
) -> None:
    """Whoever names a certificate or its key wants TLS."""
    certificate, key = ca.sign("localhost")
    pair = {"certificate": certificate, "key": key} | {left_out: None}
    with pytest.raises(StartError, match="need one another"):
        listening.bind(grpc.aio.server(), "127.0.0.1:0", **pair)


mtls = pytest.mark.parametrize("connect", [True], indirect=True)


async def bind(connect: Connect, ca: CertificateAuthority, name: str) -> str:
    """Creates a verifier that the certificate name stands for."""
    root = connect(ca, token="root")
    roles: Any = [1]
    created = await root(CreateCallerRequest(name="gateway", roles=roles, certificate_name=name))
    caller_id: str = created.caller.id
    return caller_id


async def fails_to_connect(api: Api) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api(VerifyRequest(secret="x"))
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_tls_asks_for_a_token(connect: Connect) -> None:
    """Encryption alone is no credential."""
    assert await verdict(connect(token="root"), "x") == "MALFORMED"
    assert await reason(connect()(VerifyRequest(secret="x"))) == "CREDENTIAL_MISSING"


@mtls
async def test_a_certificate_stands_for_its_caller(
    connect: Connect, ca: CertificateAuthority
) -> None:
    """Without a token, by its subject alternative name, with that caller's roles and no more."""
    await bind(connect, ca, "gateway.internal")
    gateway = connect(ca, "gateway.internal")
    assert await verdict(gateway, "x") == "MALFORMED"
    assert await reason(gateway(GetKeyRequest())) == "ROLE_MISSING"


@mtls
async def test_a_certificate_of_nobody_is_no_credential(
    connect: Connect, ca: CertificateAuthority
) -> None:
    """Being of the house is not enough: the name must be a caller's."""
    await bind(connect, ca, "gateway.internal")
    for name in ("other.internal", "gateway.internal.evil", "internal"):
        assert await reason(connect(ca, name)(VerifyRequest(secret="x"))) == "CREDENTIAL_INVALID"


@mtls
async def test_a_revoked_callers_certificate_is_refused_at_once(
    connect: Connect, ca: CertificateAuthority
) -> None:
    """On the connection that is already open."""
    caller_id = await bind(connect, ca, "gateway.internal")
    gateway = connect(ca, "gateway.internal")
    assert await verdict(gateway, "x") == "MALFORMED"
    await connect(ca, token="root")(RevokeCallerRequest(caller_id=caller_id))
    assert await reason(gateway(VerifyRequest(secret="x"))) == "CREDENTIAL_INVALID"


@mtls
async def test_a_token_goes_before_the_certificate(
    connect: Connect, ca: CertificateAuthority
) -> None:
    """Who presents both is who the token says; a wrong token is not made good by a certificate."""
    await bind(connect, ca, "gateway.internal")
    both = connect(ca, "gateway.internal", token="root")
    assert (await both(ListCallersRequest())).callers
    wrong = connect(ca, "gateway.internal")
    call = wrong(VerifyRequest(secret="x"), ("authorization", "Bearer noise"))
    assert await reason(call) == "CREDENTIAL_INVALID"


@mtls
async def test_strangers_are_not_connected(
    connect: Connect, ca: CertificateAuthority, tmp_path: Path
) -> None:
    """Neither without a certificate, token or not, nor with one that another house signed."""
    await bind(connect, ca, "gateway.internal")
    (tmp_path / "foreign").mkdir()
    foreign = CertificateAuthority(tmp_path / "foreign", "foreign")
    assert await fails_to_connect(connect())
    assert await fails_to_connect(connect(token="root"))
    assert await fails_to_connect(connect(foreign, "gateway.internal"))
