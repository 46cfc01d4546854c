"""Providers whose description of themselves is not to be used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from console.oidc import OidcSettings, OidcUnavailable
from console.oidc.discovery import Metadata
from tests.console.oidc.crooked_provider import CrookedProvider, answering
from tests.console.oidc.signing_in import MARKUP, SignIn
from tests.console.people.parts import ManualClock

GOOD = OidcSettings("https://accounts.example.com", "console", None, "Example")


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        ({"issuer": "https://evil.example.com"}, "describes another issuer"),
        ({"issuer": MARKUP}, "describes another issuer"),
        ({"issuer": None}, "describes another issuer"),
        (
            {"authorization_endpoint": "javascript:alert(1)"},
            "authorization_endpoint is no https URL",
        ),
        ({"authorization_endpoint": None}, "authorization_endpoint is no https URL"),
        ({"token_endpoint": "http://example.com/token"}, "token_endpoint is no https URL"),
        ({"token_endpoint": "https://user:pw@example.com/"}, "token_endpoint is no https URL"),
        ({"token_endpoint": ["https://example.com"]}, "token_endpoint is no https URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no https URL"),
        ({"jwks_uri": "https://[bad"}, "jwks_uri is no https URL"),
        ({"userinfo_endpoint": "http://example.com/"}, "userinfo_endpoint is no https URL"),
        (
            {"token_endpoint_auth_methods_supported": "none"},
            "token_endpoint_auth_methods_supported is no list",
        ),
    ],
)
async def test_refused(
    sign_in: SignIn, crooked: CrookedProvider, discovery: dict[str, Any], reason: str
) -> None:
    """Another issuer's description, or one with endpoints that could be read along, is not used."""
    crooked.discovery = discovery
    sentence = await sign_in.fails(OidcUnavailable, f"discovery: {reason}")
    assert "try again" in sentence


async def test_a_slash_makes_another_issuer(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """The issuer is compared letter by letter."""
    crooked.discovery = {"issuer": crooked.issuer + "/"}
    await sign_in.fails(OidcUnavailable, "discovery: describes another issuer")


async def test_it_is_kept_for_an_hour(
    sign_in: SignIn, crooked: CrookedProvider, clock: ManualClock
) -> None:
    """The description is asked for once an hour, and a failure is not kept."""
    crooked.instead = {"openid-configuration": answering(500, {})}
    await sign_in.fails(OidcUnavailable, "discovery: status 500")
    crooked.instead = {}
    for _ in range(3):
        await sign_in()
    assert crooked.asked.count("openid-configuration") == 2
    clock.pass_by(minutes=61)
    await sign_in()
    assert crooked.asked.count("openid-configuration") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://accounts.example.com"},
        {"issuer": "accounts.example.com"},
        {"issuer": "https://"},
        {"issuer": "https://user@example.com"},
        {"issuer": "https://example.com/?tenant=1"},
        {"issuer": "https://example.com/#"},
        {"issuer": "ftp://localhost/"},
        {"client_id": ""},
        {"scopes": ("email",)},
    ],
)
def test_settings_that_cannot_be_right(change: dict[str, Any]) -> None:
    """An issuer that could be read along on the way, and settings that never work, are refused."""
    with pytest.raises(ValueError, match="the OIDC "):
        replace(GOOD, **change)


@pytest.mark.parametrize(
    "issuer", ["http://localhost:1", "http://127.0.0.1", "http://[::1]:80/x", "https://a.example/"]
)
def test_settings_that_can(issuer: str) -> None:
    """Https anywhere and http on loopback are fine, and one slash leads to the description."""
    assert "//." not in replace(GOOD, issuer=issuer).discovery_url


def test_an_https_provider_has_only_https_endpoints() -> None:
    """An https provider can't lead to http, not even on loopback."""
    document = {
        "issuer": GOOD.issuer,
        "authorization_endpoint": "https://a.example/",
        "token_endpoint": "http://127.0.0.1/token",
        "jwks_uri": "https://a.example/jwks",
    }
    with pytest.raises(OidcUnavailable):
        Metadata.of(document, GOOD.issuer)
    document["token_endpoint"] = "https://a.example/token"
    assert Metadata.of(document, GOOD.issuer).token_endpoint == document["token_endpoint"]
