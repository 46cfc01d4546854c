"""Answers of the browser and of the provider's endpoints that must not sign anybody in."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from yarl import URL

from console.oidc import Flow, OidcRefused, OidcUnavailable
from console.oidc.fetch import fetch
from tests.console.oidc.crooked_provider import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    CODE,
    CrookedProvider,
    answering,
    never,
    without_end,
)
from tests.console.oidc.signing_in import MARKUP, REDIRECT_URI, SignIn
from tests.console.people.parts import ManualClock


async def test_what_is_asked_for(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """The browser is sent on with a challenge only; the code goes back with its verifier."""
    begun = await sign_in.provider.begin()
    flow = begun.flow
    assert dict(URL(begun.url).query) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "console",
        "redirect_uri": REDIRECT_URI,
        "scope": "openid email profile",
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": flow.challenge,
        "code_challenge_method": "S256",
    }
    assert flow.verifier not in begun.url
    await sign_in.finish(begun)
    assert crooked.form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": flow.verifier,
    }
    assert crooked.authorization == f"Basic {b64encode(b'console:canary-client-secret').decode()}"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"state": "s" * 43}, "response: of another sign-in"),
        ({"state": None}, "response: of another sign-in"),
        ({"state": "é"}, "response: of another sign-in"),
        ({"state": "s" * 43, "error": "access_denied"}, "response: of another sign-in"),
        ({"iss": "https://evil.example.com"}, "response: of another issuer"),
        ({"iss": "", "error": "access_denied"}, "response: of another issuer"),
        ({"code": None}, "response: without a code"),
        ({"code": ""}, "response: without a code"),
        (
            {"error": MARKUP, "error_description": MARKUP},
            "response: an error that only the provider can explain",
        ),
    ],
)
async def test_responses_that_are_refused(
    sign_in: SignIn, crooked: CrookedProvider, query: dict[str, str | None], reason: str
) -> None:
    """An answer to another question, or of another provider, never gets to the token endpoint."""
    await sign_in.fails(OidcRefused, reason, **query)
    assert "token" not in crooked.asked


@pytest.mark.parametrize("error", ["access_denied", "login_required"])
async def test_cancelling(sign_in: SignIn, error: str) -> None:
    """Who cancels is told that they did."""
    sentence = await sign_in.fails(OidcRefused, f"response: {error}", error=error, code=None)
    assert "cancelled" in sentence


async def test_the_provider_says_it_is_broken(sign_in: SignIn) -> None:
    """An outage that the provider reports is one."""
    await sign_in.fails(OidcUnavailable, "response: server_error", error="server_error")


async def test_the_issuer_of_a_response(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """A provider that says it names itself in its answers has to (RFC 9207)."""
    crooked.discovery = {"authorization_response_iss_parameter_supported": True}
    await sign_in.fails(OidcRefused, "response: of another issuer")
    assert (await sign_in(iss=crooked.issuer)).name == "Ada"


async def test_a_flow_ends(sign_in: SignIn, clock: ManualClock) -> None:
    """A sign-in takes ten minutes at most."""
    begun = await sign_in.provider.begin()
    clock.pass_by(minutes=9, seconds=59)
    await sign_in.finish(begun)
    clock.pass_by(seconds=1)
    with pytest.raises(OidcRefused, match="ten minutes"):
        await sign_in.finish(begun)


def test_a_flow_as_text() -> None:
    """A flow comes back from its text; no other text makes one, and none shows in its repr."""
    flow = Flow.begin(datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
    text = flow.to_text()
    assert Flow.from_text(text) == flow
    for other in ("", text[1:], text + "\n", text + " ", text.replace(".", ","), "é" + text[1:]):
        assert Flow.from_text(other) is None
    assert not {flow.state, flow.nonce, flow.verifier} & set(repr(flow).split("'"))
    assert Flow.begin(flow.begin_time) != flow


@pytest.mark.parametrize(
    ("status", "document", "kind", "reason"),
    [
        (400, {"error": "invalid_grant", "error_description": MARKUP}, OidcRefused,
         "the code was not accepted"),
        (401, {"error": "invalid_client"}, OidcUnavailable,
         "the client id or secret was not accepted"),
        (400, {"error": MARKUP}, OidcUnavailable, "status 400"),
        (500, {}, OidcUnavailable, "status 500"),
        (200, b"<html>canary-", OidcUnavailable, "answer is not JSON (status 200)"),
        (200, b"[" * 100_000, OidcUnavailable, "answer is not JSON (status 200)"),
        (200, b"\xff\xfe", OidcUnavailable, "answer is not JSON (status 200)"),
        (200, b"[]", OidcUnavailable, "answer is not a JSON object (status 200)"),
        (200, {"id_token": 7}, OidcUnavailable, "id_token is no token"),
        (200, {"access_token": "a\r\nX: canary-"}, OidcUnavailable, "access_token is no token"),
    ],
)  # fmt: skip
async def test_token_answers(
    sign_in: SignIn,
    crooked: CrookedProvider,
    status: int,
    document: Any,
    kind: type[OidcRefused | OidcUnavailable],
    reason: str,
) -> None:
    """A code that is not accepted is a refusal; any other failure at the endpoint is an outage."""
    crooked.instead = {"token": answering(status, document)}
    await sign_in.fails(kind, f"token endpoint: {reason}")


@pytest.mark.parametrize(
    ("endpoint", "what"),
    [
        ("openid-configuration", "discovery"),
        ("jwks", "keys"),
        ("token", "token endpoint"),
        ("userinfo", "userinfo"),
    ],
)
class TestEndpoints:
    async def test_redirects_are_not_followed(
        self, sign_in: SignIn, crooked: CrookedProvider, endpoint: str, what: str
    ) -> None:
        """No endpoint leads elsewhere, where the code, the secret or a token would go along."""
        crooked.claims = {"email": None}
        moved = answering(307, {}, Location=f"{crooked.issuer}/elsewhere")
        crooked.instead = {endpoint: moved, "elsewhere": answering(200, {})}
        await sign_in.fails(OidcUnavailable, f"{what}: status 307")
        assert "elsewhere" not in crooked.asked

    async def test_answers_without_end(
        self, sign_in: SignIn, crooked: CrookedProvider, endpoint: str, what: str
    ) -> None:
        """An answer is read up to a limit."""
        crooked.claims = {"email": None}
        crooked.instead = {endpoint: without_end}
        await sign_in.fails(OidcUnavailable, f"{what}: answer too large (status 200)")

    @pytest.mark.parametrize("patience", [ClientTimeout(total=0.2)], ids=[""])
    async def test_no_answer(
        self, sign_in: SignIn, crooked: CrookedProvider, endpoint: str, what: str
    ) -> None:
        """An answer is waited for up to a limit."""
        crooked.claims = {"email": None}
        crooked.instead = {endpoint: never}
        await sign_in.fails(OidcUnavailable, f"{what}: no answer in time")


@pytest.mark.parametrize("patience", [ClientTimeout(total=None)], ids=[""])
async def test_each_request_has_a_limit_of_its_own(
    session: ClientSession, crooked: CrookedProvider
) -> None:
    """Also in a session that would wait for ever."""
    crooked.instead = {"userinfo": never}
    async with asyncio.timeout(5):
        with pytest.raises(OidcUnavailable) as refused:
            await fetch(session, "GET", f"{crooked.issuer}/userinfo", "userinfo", seconds=0.2)
    assert refused.value.reason == "userinfo: no answer in time"


async def test_nobody_there(sign_in: SignIn, crooked: CrookedProvider) -> None:
    """An endpoint that nobody listens at is an outage."""
    crooked.discovery = {"token_endpoint": "http://127.0.0.1:9/token"}
    await sign_in.fails(OidcUnavailable, "token endpoint: not reachable")


class TestUserinfo:
    async def test_it_has_the_address(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """An address that the id token lacks comes from userinfo, with its own verification."""
        crooked.claims = {"email": None, "email_verified": True, "name": None}
        crooked.userinfo = {"email": "eve@example.com", "name": "Eve"}
        claims = await sign_in()
        assert (claims.email, claims.email_verified, claims.name) == (
            "eve@example.com",
            False,
            "Eve",
        )
        assert crooked.authorization == f"Bearer {ACCESS_TOKEN}"

    async def test_it_is_of_the_same_person(
        self, sign_in: SignIn, crooked: CrookedProvider
    ) -> None:
        """What userinfo says of another person, or of nobody, is not used."""
        crooked.claims = {"email": None}
        for subject in ("248289761002", None, 7):
            crooked.userinfo = {"sub": subject, "email": "eve@example.com"}
            await sign_in.fails(OidcRefused, "userinfo: of another person")

    async def test_it_is_asked_only_when_needed(
        self, sign_in: SignIn, crooked: CrookedProvider
    ) -> None:
        """With an address in the id token, or without an endpoint, nothing is asked."""
        await sign_in()
        crooked.claims = {"email": None}
        crooked.tokens = {"access_token": None}
        assert (await sign_in()).email == ""
        assert "userinfo" not in crooked.asked

    async def test_a_provider_without_it(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """Who has no address at the provider is still who they are."""
        crooked.claims = {"email": None}
        crooked.discovery = {"userinfo_endpoint": None}
        claims = await sign_in()
        assert (claims.subject, claims.email, claims.email_verified) == ("248289761001", "", False)

    async def test_refused(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """An endpoint that refuses the provider's own token is an outage."""
        crooked.claims = {"email": None}
        crooked.instead = {"userinfo": answering(401, {"error": MARKUP})}
        await sign_in.fails(OidcUnavailable, "userinfo: status 401")


@pytest.mark.parametrize(
    ("said", "email", "verified", "name"),
    [
        ({"email_verified": "true"}, "ada@example.com", False, "Ada"),
        ({"email_verified": 1}, "ada@example.com", False, "Ada"),
        ({"email_verified": None}, "ada@example.com", False, "Ada"),
        ({"email": ["ada@example.com"]}, "", False, "Ada"),
        ({"email": "a" * 255}, "", False, "Ada"),
        ({"email": "a@b.c\r\nBcc: d@e.f"}, "", False, "Ada"),
        ({"name": 7}, "ada@example.com", True, ""),
        ({"name": "n" * 201}, "ada@example.com", True, ""),
        ({"name": MARKUP}, "ada@example.com", True, MARKUP),
    ],
)
async def test_odd_claims(
    sign_in: SignIn,
    crooked: CrookedProvider,
    said: dict[str, Any],
    email: str,
    verified: bool,
    name: str,
) -> None:
    """Only `true` verifies an address; what is too long or no text is left out."""
    crooked.claims = said
    claims = await sign_in()
    assert (claims.email, claims.email_verified, claims.name) == (email, verified, name)


class TestClientAuthentication:
    async def test_in_the_form(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """A provider that wants the secret in the form gets it there, and only there."""
        crooked.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        await sign_in()
        assert crooked.form["client_secret"] == CLIENT_SECRET
        assert crooked.form["client_id"] == "console"
        assert crooked.authorization is None

    async def test_public(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """A client without a secret says who it is, and PKCE does the rest."""
        sign_in.provider = sign_in.provider_with(None)
        await sign_in()
        assert crooked.form["client_id"] == "console"
        assert "client_secret" not in crooked.form
        assert crooked.authorization is None

    async def test_no_way(self, sign_in: SignIn, crooked: CrookedProvider) -> None:
        """The secret is not sent to a provider that takes none."""
        crooked.discovery = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
        await sign_in.fails(OidcUnavailable, "token endpoint: takes no client secret")
        assert "token" not in crooked.asked
