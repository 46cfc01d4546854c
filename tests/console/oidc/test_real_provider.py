"""Signing in at a real provider: oidc-provider, on loopback."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from console.oidc import Claims, OidcRefused, OidcUnavailable, Provider
from keyauthority.client import Secret
from tests.console.oidc.provider_process import RunningProvider, StartProvider, go

REDIRECT_URI = "http://127.0.0.1:9/sign-in/oidc/callback"
ADA = {"account": "ada"}


def provider_at(running: RunningProvider, session: ClientSession) -> Provider:
    return Provider(running.settings, running.redirect_uri, session, lambda: datetime.now(UTC))


async def sign_in(provider: Provider, form: dict[str, str]) -> Claims:
    begun = await provider.begin()
    return await provider.finish(begun.flow, await go(begun.url, form, REDIRECT_URI))


async def test_a_person_signs_in(oidc_provider: StartProvider, session: ClientSession) -> None:
    """Who signs in comes back as who the provider says, with the address from userinfo."""
    running = oidc_provider(REDIRECT_URI)
    claims = await sign_in(provider_at(running, session), ADA)
    assert claims == Claims(running.settings.issuer, "ada", "ada@example.com", True, "Ada Lovelace")


async def test_an_unverified_address_is_said_to_be_one(
    oidc_provider: StartProvider, session: ClientSession
) -> None:
    """The provider's word that an address is not verified arrives."""
    claims = await sign_in(provider_at(oidc_provider(REDIRECT_URI), session), {"account": "bob"})
    assert (claims.email, claims.email_verified) == ("bob@example.com", False)


@pytest.mark.parametrize(
    ("client", "features"),
    [
        ({"token_endpoint_auth_method": "none"}, {}),
        (
            {"token_endpoint_auth_method": "client_secret_post"},
            {"clientAuthMethods": ["client_secret_post"]},
        ),
        ({}, {"conformIdTokenClaims": False}),
    ],
    ids=["public", "secret in the form", "e-mail in the id token"],
)
async def test_other_set_ups(
    oidc_provider: StartProvider,
    session: ClientSession,
    client: dict[str, Any],
    features: dict[str, Any],
) -> None:
    """Public clients, secrets in the form and claims in the id token work as well."""
    running = oidc_provider(REDIRECT_URI, client=client, features=features)
    claims = await sign_in(provider_at(running, session), ADA)
    assert (claims.subject, claims.email, claims.email_verified) == ("ada", "ada@example.com", True)


KEYS: dict[str, Key] = {
    "RS256": RSAKey.generate_key(2048),
    "PS256": RSAKey.generate_key(2048),
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_algorithms(
    oidc_provider: StartProvider, session: ClientSession, algorithm: str
) -> None:
    """Id tokens signed by each of the allowed algorithms are accepted, with their at_hash."""
    features = {
        "jwks": KeySet([KEYS[algorithm]]).as_dict(private=True),
        "enabledJWA": {"idTokenSigningAlgValues": [algorithm]},
        "conformIdTokenClaims": False,
    }
    running = oidc_provider(
        REDIRECT_URI, client={"id_token_signed_response_alg": algorithm}, features=features
    )
    assert (await sign_in(provider_at(running, session), ADA)).subject == "ada"


async def test_cancelling(oidc_provider: StartProvider, session: ClientSession) -> None:
    """Who cancels at the provider is told so, not that something is broken."""
    provider = provider_at(oidc_provider(REDIRECT_URI), session)
    with pytest.raises(OidcRefused, match="cancelled"):
        await sign_in(provider, {"cancel": "yes"})


async def test_a_code_is_good_once(oidc_provider: StartProvider, session: ClientSession) -> None:
    """An answer that was accepted is refused when it comes again."""
    provider = provider_at(oidc_provider(REDIRECT_URI), session)
    begun = await provider.begin()
    query = await go(begun.url, ADA, REDIRECT_URI)
    await provider.finish(begun.flow, query)
    with pytest.raises(OidcRefused) as caught:
        await provider.finish(begun.flow, query)
    assert caught.value.reason == "token endpoint: the code was not accepted"


async def test_a_code_needs_its_verifier(
    oidc_provider: StartProvider, session: ClientSession
) -> None:
    """A code is worthless to who lacks the verifier that its request was made with."""
    provider = provider_at(oidc_provider(REDIRECT_URI), session)
    begun = await provider.begin()
    query = await go(begun.url, ADA, REDIRECT_URI)
    with pytest.raises(OidcRefused) as caught:
        await provider.finish(replace(begun.flow, verifier="v" * 43), query)
    assert caught.value.reason == "token endpoint: the code was not accepted"


async def test_a_wrong_client_secret_is_the_operators_matter(
    oidc_provider: StartProvider, session: ClientSession
) -> None:
    """A client secret that the provider does not know is an outage, named in the reason."""
    running = oidc_provider(REDIRECT_URI)
    wrong = replace(running.settings, client_secret=Secret("another"))
    provider = provider_at(replace(running, settings=wrong), session)
    with pytest.raises(OidcUnavailable) as caught:
        await sign_in(provider, ADA)
    assert caught.value.reason == "token endpoint: the client id or secret was not accepted"
