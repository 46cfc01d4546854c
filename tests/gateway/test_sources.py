"""Who a request comes from."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.sources import Sources
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import Answered, RecordingAuthority, exchange, head, parse, reply
from tests.gateway.test_table import check_envelope

PROXY = "127.0.0.1"
TRUSTED = ("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")


def named(*lines: str, peer: str = PROXY, trusted: tuple[str, ...] = TRUSTED) -> str | None:
    """Whom a proxy asks about at /authz."""
    headers = CIMultiDict([("X-Forwarded-For", line) for line in lines])
    request = make_mocked_request("GET", "/authz", headers).clone(remote=peer)
    return Sources([ip_network(one) for one in trusted]).client_of_proxy(request)


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.1.2.3,10.1.2.4"], "192.0.2.1"),
        (["192.0.2.1, 2001:db8:1::7"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.1.2.3"], "192.0.2.1"),
        (["192.0.2.1:5000"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:5000"], "2001:db8::1"),
        (["192.0.2.1, unknown"], None),
        (["192.0.2.1, "], None),
        (["10.1.2.3"], None),
        ([], None),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    lines: list[str], address: str | None
) -> None:
    """What stands before it the client may have written itself."""
    assert named(*lines) == address


def test_who_is_not_trusted_names_nobody() -> None:
    """Or everybody could have others braked, or take another address each time."""
    assert named("192.0.2.1", peer="203.0.113.1") is None
    assert named("192.0.2.1", trusted=()) is None


def ask_fields(secret: str, *addresses: str) -> list[str]:
    return [f"Authorization: Bearer {secret}", *(f"X-Forwarded-For: {one}" for one in addresses)]


async def ask(port: int, target: str, secret: str, *addresses: str) -> Answered:
    return parse(await exchange(port, head(*ask_fields(secret, *addresses), target=target)))


@pytest.mark.parametrize("target", ["/authz", "/v1/models"])
async def test_a_trusted_proxys_clients_are_braked_one_by_one(
    start_gateway: StartGateway, authority: RecordingAuthority, target: str
) -> None:
    """A forged address before the true one changes nothing; nor are those braked who name nobody."""
    port = await start_gateway(max_refusals=2, trusted_proxies=(ip_network(PROXY),))
    used = authority.issue()
    assert (await ask(port, target, used, "192.0.2.1")).status == 200
    for number in range(2):
        bad = authority.issue(reply(pb.VERDICT_REVOKED))
        assert (await ask(port, target, bad, f"198.51.100.{number}, 192.0.2.1")).status == 401
    asked = len(authority.asked)

    answer = await ask(port, target, authority.issue(), "198.51.100.7, 192.0.2.1")
    check_envelope(answer, Refusal.RATE_LIMITED)
    assert len(authority.asked) == asked

    assert (await ask(port, target, used, "192.0.2.1")).status == 200
    assert (await ask(port, target, authority.issue(), "192.0.2.2")).status == 200
    assert (await ask(port, target, authority.issue())).status == 200


async def test_a_client_at_v1_can_not_choose_its_address(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Without a trusted proxy it is where the connection comes from."""
    port = await start_gateway(max_refusals=1)
    bad = authority.issue(reply(pb.VERDICT_REVOKED))
    assert (await ask(port, "/v1/models", bad, "192.0.2.1")).status == 401

    answer = await ask(port, "/v1/models", authority.issue(), "192.0.2.2")
    check_envelope(answer, Refusal.RATE_LIMITED)


async def test_the_access_log_names_the_client_behind_a_trusted_proxy(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Or all its lines would name the proxy."""
    port = await start_gateway(access_log=True, trusted_proxies=(ip_network(PROXY),))
    await ask(port, "/authz", authority.issue(), "192.0.2.1")
    await ask(port, "/authz", authority.issue())

    output = capfd.readouterr()
    logged = [
        line
        for line in (output.out + output.err).splitlines()
        if '"request"' in line or "request_id" in line
    ]
    assert ["192.0.2.1" in logged[0], PROXY in logged[1]] == [True, True], json.dumps(logged)
