"""Id tokens that must not sign anybody in, and keys that change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from console.oidc import OidcRefused, OidcUnavailable
from tests.console.oidc.crooked_provider import ACCESS_TOKEN, CLIENT_SECRET, CrookedProvider
from tests.console.oidc.signing_in import MARKUP, SignIn
from tests.console.people.parts import ManualClock

MALFORMED = "id token: malformed, or not signed as it has to be"
NO_KEY = "id token: signed by no key of the provider"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example.com"}, "iss not acceptable"),
        ({"iss": None}, "iss not acceptable"),
        ({"aud": "another"}, "aud not acceptable"),
        ({"aud": ["another"]}, "aud not acceptable"),
        ({"aud": []}, "aud not acceptable"),
        ({"aud": "console2"}, "aud not acceptable"),
        ({"aud": None}, "aud not acceptable"),
        ({"aud": ["console", "another"]}, "given to another client"),
        ({"azp": "another"}, "given to another client"),
        ({"azp": ""}, "given to another client"),
        ({"nonce": MARKUP}, "of another sign-in"),
        ({"nonce": None}, "of another sign-in"),
        ({"nonce": 7}, "of another sign-in"),
        ({"nonce": ""}, "of another sign-in"),
        ({"sub": ""}, "sub not acceptable"),
        ({"sub": None}, "sub not acceptable"),
        ({"sub": 7}, "sub not acceptable"),
        ({"sub": "s" * 256}, "sub not acceptable"),
        ({"exp": None}, "exp not acceptable"),
        ({"exp": "9999999999"}, "exp not acceptable"),
        ({"iat": None}, "iat not acceptable"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "of another access token"),
        ({"at_hash": 7}, "of another access token"),
    ],
)
async def test_claims_that_are_refused(
    sign_in: SignIn, crooked: CrookedProvider, claims: dict[str, Any], reason: str
) -> None:
    """A well-signed id token of another issuer, client, sign-in or access token is refused."""
    crooked.claims = claims
    await sign_in.fails(OidcRefused, f"id token: {reason}")


@pytest.mark.parametrize(
    ("claim", "by", "reason"),
    [
        ("exp", -60, "exp not acceptable"),
        ("iat", 61, "iat not acceptable"),
        ("nbf", 61, "nbf not acceptable"),
        ("exp", -59, None),
        ("iat", 60, None),
        ("nbf", 60, None),
    ],
)
async def test_times(
    sign_in: SignIn,
    crooked: CrookedProvider,
    clock: ManualClock,
    claim: str,
    by: int,
    reason: str | None,
) -> None:
    """An id token counts from its issue to its expiry, give or take a minute."""
    crooked.claims = {claim: int(clock().timestamp()) + by}
    if reason is None:
        assert (await sign_in()).subject == "248289761001"
    else:
        await sign_in.fails(OidcRefused, f"id token: {reason}")


async def test_claims_that_are_accepted(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """A token for several parties, given to the console, with its access token's hash, is good."""
    half = hashlib.sha256(ACCESS_TOKEN.encode()).digest()[:16]
    at_hash = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    crooked.claims = {"aud": ["another", "console"], "azp": "console", "at_hash": at_hash}
    crooked.header |= {"x-unheard-of": True}
    assert (await sign_in()).email == "ada@example.com"


def encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "none", "kid": "first"}])
async def test_unsigned(sign_in: SignIn, crooked: CrookedProvider, header: dict[str, str]) -> None:
    """An id token with the algorithm `none` is refused."""
    crooked.id_token = lambda claims: f"{encode(header)}.{encode(claims)}."
    await sign_in.fails(OidcRefused, MALFORMED)


async def test_signed_with_what_others_know(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """An HMAC is refused, be it made with the provider's public key or with the client secret."""
    rsa = RSAKey.generate_key(2048, {"kid": "first"})
    crooked.published = [rsa.as_dict(), {**OctKey.import_key(CLIENT_SECRET).as_dict(), "kid": "o"}]
    for secret, kid in ((rsa.as_pem(), "first"), (CLIENT_SECRET, "first"), (CLIENT_SECRET, "o")):
        crooked.id_token = _hmac(secret, kid)
        await sign_in.fails(OidcRefused, MALFORMED)


def _hmac(secret: bytes | str, kid: str) -> Any:
    # By hand: joserfc declines to make an HMAC with a public key.
    def sign(claims: dict[str, Any]) -> str:
        signed = f"{encode({'alg': 'HS256', 'kid': kid})}.{encode(claims)}"
        key = secret if isinstance(secret, bytes) else secret.encode()
        digest = hmac.digest(key, signed.encode(), "sha256")
        return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    return sign


async def test_a_signature_by_a_stranger(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """A signature by a key that is not the provider's is refused, whatever name it goes by."""
    crooked.key = ECKey.generate_key("P-256", {"kid": "first"})
    await sign_in.fails(OidcRefused, NO_KEY)


async def test_a_key_in_the_token_is_not_believed(
    sign_in: SignIn, crooked: CrookedProvider
) -> None:
    """A key or an address of keys in the token's own header is not used."""
    crooked.key = ECKey.generate_key("P-256")
    crooked.header |= {"jwk": crooked.key.as_dict(), "jku": f"{crooked.issuer}/jwks", "kid": "x"}
    await sign_in.fails(OidcRefused, NO_KEY)


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"kid": 7}, {"alg": "ES512"}])
async def test_headers_that_are_refused(
    sign_in: SignIn, crooked: CrookedProvider, header: dict[str, Any]
) -> None:
    """A header that has to be understood and isn't, or that is malformed, is refused."""
    crooked.id_token = lambda claims: f"{encode({'alg': 'ES256'} | header)}.{encode(claims)}.AAAA"
    await sign_in.fails(OidcRefused, MALFORMED)


@pytest.mark.parametrize(
    "text",
    ["", "a.b", MARKUP, "a.b.c.d.e", f"{encode({})}.e30.AAAA", "W10.e30.AAAA", "ImFsZyI.e30.AAAA"],
)
async def test_no_token_at_all(sign_in: SignIn, crooked: CrookedProvider, text: str) -> None:
    """What is not an id token is refused."""
    crooked.id_token = lambda _: text
    await sign_in.fails(OidcRefused, MALFORMED)


async def test_a_deeply_nested_token(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """A payload nested deeper than Python reads is refused as any other malformed one."""
    header = {"alg": "ES256", "kid": "first"}
    crooked.id_token = lambda _: jws.serialize_compact(header, b"[" * 90_000, crooked.key)
    await sign_in.fails(OidcRefused, MALFORMED)


async def test_keys_change(sign_in: SignIn, crooked: CrookedProvider, clock: ManualClock) -> None:
    """A key not seen before is looked up, and the old one stops counting."""
    await sign_in()
    old, old_header = crooked.key, crooked.header
    clock.pass_by(minutes=1)
    crooked.key = ECKey.generate_key("P-256", {"kid": "second"})
    crooked.header = old_header | {"kid": "second"}
    crooked.published = [crooked.key.as_dict()]
    assert (await sign_in()).subject == "248289761001"
    assert crooked.asked.count("jwks") == 2
    crooked.key, crooked.header = old, old_header
    await sign_in.fails(OidcRefused, NO_KEY)


async def test_a_key_changes_under_its_name(
    sign_in: SignIn, crooked: CrookedProvider, clock: ManualClock
) -> None:
    """A provider that puts a new key under the old name, or names none, is followed too."""
    await sign_in()
    for kid in ("first", None):
        clock.pass_by(minutes=1)
        crooked.key = ECKey.generate_key("P-256", {"kid": "first"})
        crooked.header |= {"kid": kid}
        crooked.published = [crooked.key.as_dict()]
        assert (await sign_in()).subject == "248289761001"


async def test_unknown_keys_do_not_hammer_the_provider(
    sign_in: SignIn, crooked: CrookedProvider, clock: ManualClock
) -> None:
    """However many tokens name an unknown key, the keys are asked for every half minute at most."""
    crooked.header |= {"kid": "unknown"}
    for _ in range(5):
        await sign_in.fails(OidcRefused, NO_KEY)
    assert crooked.asked.count("jwks") == 1
    clock.pass_by(seconds=31)
    for _ in range(5):
        await sign_in.fails(OidcRefused, NO_KEY)
    assert crooked.asked.count("jwks") == 2


async def test_a_withdrawn_key_is_forgotten(
    sign_in: SignIn, crooked: CrookedProvider, clock: ManualClock
) -> None:
    """A key that the provider withdrew counts for an hour at most."""
    await sign_in()
    crooked.published = [ECKey.generate_key("P-256").as_dict()]
    clock.pass_by(minutes=59)
    await sign_in()
    clock.pass_by(minutes=2)
    await sign_in.fails(OidcRefused, NO_KEY)


async def test_keys_that_cannot_be_used_are_passed_over(
    sign_in: SignIn, crooked: CrookedProvider
) -> None:
    """Keys of unknown kinds, malformed ones, short ones and others' do not spoil the good one."""
    with pytest.warns(UserWarning, match="2048"):
        short = RSAKey.generate_key(1024, {"kid": "short"})
    unusable = [
        {"kty": "AKP"}, {"kty": ["EC"]}, {}, 7, "key", {"kty": "EC", "crv": "P-0", "x": "", "y": ""},
        {"kty": "RSA", "n": "!", "e": "AQAB"}, crooked.key.as_dict(use="enc"), short.as_dict(),
    ]  # fmt: skip
    crooked.published = [*unusable, *crooked.published]  # type: ignore[list-item]
    await sign_in()
    crooked.key, crooked.header = short, {"alg": "RS256", "kid": "short"}
    await sign_in.fails(OidcRefused, NO_KEY)


@pytest.mark.parametrize("published", [[], [{"kty": "AKP"}], "keys", None])
async def test_no_usable_key(sign_in: SignIn, crooked: CrookedProvider, published: Any) -> None:
    """A provider without a key to check with is an outage."""
    crooked.published = published
    await sign_in.fails(OidcUnavailable, "keys: none that can be used")
