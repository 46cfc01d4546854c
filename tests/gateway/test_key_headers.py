"""Keys in other headers than `Authorization`: read where a setting says so, and one at a time."""

from __future__ import annotations

import json

import openai
import pytest

from gateway.key_headers import KeyHeaders
from keyauthority.base.process.settings import SettingsError
from keyauthority.base.process.telemetry import configure_logging
from keyauthority.client import redact
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse, reply
from tests.gateway.test_cli import UPSTREAM, settings_by
from tests.gateway.test_table import check_envelope

BOTH = ("x-api-key", "Api-Key")
TARGETS = ("/v1/models", "/v1/key", "/authz", "/authz/v1/models")


@pytest.mark.parametrize("target", TARGETS)
async def test_a_key_may_come_in_another_header(
    start_gateway: StartGateway, authority: RecordingAuthority, target: str
) -> None:
    """The answer is that to the same key in `Authorization`; also if it is given at once."""
    port = await start_gateway(key_header=BOTH, cache=True)
    secret = authority.issue()
    expected = parse(await exchange(port, head(f"Authorization: Bearer {secret}", target=target)))
    identity = expected.header("x-opentoken-key-id")

    for name in ("x-api-key", "X-Api-Key", "api-key"):
        closing = head(f"{name}: {secret}", target=target)
        raw = await exchange(port, closing.replace(b"Connection: close\r\n", b""), closing)
        answers = [parse(b"HTTP/1.1" + part) for part in raw.split(b"HTTP/1.1")[1:]]
        assert [answer.status for answer in answers] == [expected.status] * 2 == [200, 200]
        assert answers[1].body == expected.body
        assert [answer.header("x-opentoken-key-id") for answer in answers] == [identity] * 2


@pytest.mark.parametrize(
    "fields",
    [
        ("Authorization: Bearer {}", "x-api-key: {}"),
        ("Authorization: Basic Zm9vOmJhcg==", "x-api-key: {}"),
        ("Authorization: Bearer {}", "x-api-key:"),
        ("x-api-key: {}", "api-key: {}"),
        ("x-api-key: {}", "X-API-KEY: {}"),
        ("x-api-key: Bearer {}",),
        ("x-api-key: {0}, {0}",),
        ("x-api-key:",),
        ("x-goog-api-key: {}",),
        ("x_api_key: {}",),
    ],
)
async def test_two_keys_are_none(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    fields: tuple[str, ...],
) -> None:
    """Even if they are the same; nor is a scheme, a list, an empty field or another name a key."""
    port = await start_gateway(key_header=BOTH)
    presented = [field.format(authority.issue()) for field in fields]

    for target in TARGETS:
        raw = await exchange(port, head(*presented, target=target))
        check_envelope(parse(raw), Refusal.MISSING_AUTH)
    assert authority.asked == []
    assert upstream.received == []


async def test_without_the_setting_such_a_header_means_nothing(
    port: int, authority: RecordingAuthority
) -> None:
    """It is no key, and is none too many."""
    secret = authority.issue()

    alone = parse(await exchange(port, head(f"x-api-key: {secret}")))
    beside = parse(await exchange(port, head(f"Authorization: Bearer {secret}", "x-api-key: x")))

    check_envelope(alone, Refusal.MISSING_AUTH)
    assert beside.status == 200


async def test_a_refused_key_is_refused_as_ever(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    port = await start_gateway(key_header=BOTH)
    revoked = authority.issue(reply(pb.VERDICT_REVOKED))

    check_envelope(parse(await exchange(port, head(f"api-key: {revoked}"))), Refusal.INVALID_KEY)


async def test_the_header_goes_nowhere(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    restored_logging: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not to the upstream, whatever else is passed on, and not into the log."""
    configure_logging("debug", redact)
    names = ("x-api-key", "x-acme-key")
    port = await start_gateway(key_header=names, pass_header=("x-acme-*",), access_log=True)
    secrets = [authority.issue() for _ in names]
    for name, secret in zip(names, secrets, strict=True):
        answer = parse(await exchange(port, head(f"{name}: {secret}", "x-acme-team: blue")))
        assert answer.status == 200
        await exchange(port, head(f"{name}: {secret}\x01"))

    sent = [received.headers for received in upstream.received]
    assert all(("x-acme-team", "blue") in headers for headers in sent)
    log = capsys.readouterr().err
    assert log.count('"outcome": "forwarded"') == log.count('"outcome": "bad_request"') == 2
    told = json.dumps(sent) + log
    assert not [secret for secret in secrets if secret[10:] in told]


async def test_the_client_for_azure_is_answered(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """It presents its key as `api-key`."""
    port = await start_gateway(key_header=BOTH)
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    client = openai.AsyncAzureOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key=authority.issue(),
        api_version="2024-10-21",
        http_client=http,
        max_retries=0,
    )

    async with client:
        answer = await client.models.with_raw_response.retrieve("google/gemini-3-flash")

    assert answer.http_response.status_code == 200


@pytest.mark.parametrize(
    "name",
    ["", "x api", "x_key", "x-*", "Authorization", "Cookie", "Host", "Accept", "OpenAI-Beta",
     "x-request-id", "X-OpenToken-Key-Id", "X-Forwarded-For", "X-Original-URI", "Connection"],
)  # fmt: skip
def test_a_header_that_means_something_else_holds_no_key(name: str) -> None:
    """A sentence says so."""
    with pytest.raises(ValueError, match=r"no name|in any case|something else"):
        KeyHeaders((name,))


def test_it_is_a_setting() -> None:
    """By flag and environment, once for each name; what holds keys can't be passed on."""
    common = (*UPSTREAM, "--token-file", "t")
    flags = ("--key-header", "x-api-key", "--key-header", "api-key")

    assert settings_by(*common, *flags).key_header == ("x-api-key", "api-key")
    by_env = settings_by(*common, env={"GATEWAY_KEY_HEADER": "x-api-key api-key"})
    assert by_env.key_header == ("x-api-key", "api-key")
    assert KeyHeaders(("X-Api-Key", "x-api-key")).names == ("x-api-key",)
    with pytest.raises(SettingsError, match="--key-header 'cookie' means something else"):
        settings_by(*common, "--key-header", "cookie")
    with pytest.raises(SettingsError, match="--pass-header 'x-acme' never goes on"):
        settings_by(*common, "--key-header", "x-acme", "--pass-header", "x-acme")
