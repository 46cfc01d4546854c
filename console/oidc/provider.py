"""Signing in at one OpenID provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import ClientSession
from joserfc.jwk import KeySet
from yarl import URL

from console.oidc.discovery import Discovery, Metadata
from console.oidc.fetch import OidcRefused
from console.oidc.flow import Claims, Flow, Redirect, Tokens, code_of
from console.oidc.id_token import NoKeyFitsError, verify
from console.oidc.settings import OidcSettings
from console.oidc.tokens import claims_of, exchange, userinfo


class Provider:
    """The provider that people sign in at.

    `session` is a `provider_session`. The first request is sent when the first person signs in, so an
    unreachable provider delays nobody who has a password.
    """

    def __init__(
        self,
        settings: OidcSettings,
        redirect_uri: str,
        session: ClientSession,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._session = session
        self._clock = clock
        self._discovery = Discovery(settings, session, clock)

    async def begin(self) -> Redirect:
        """Begins a sign-in. Raises OidcUnavailable."""
        metadata = await self._discovery.metadata()
        flow = Flow.begin(self._clock())
        url = URL(metadata.authorization_endpoint).update_query(
            response_type="code",
            client_id=self._settings.client_id,
            redirect_uri=self._redirect_uri,
            scope=" ".join(self._settings.scopes),
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=flow.challenge,
            code_challenge_method="S256",
        )
        return Redirect(str(url), flow)

    async def finish(self, flow: Flow, query: Mapping[str, str]) -> Claims:
        """Returns the claims about the person whose browser answers *flow* with *query*.

        The caller drops *flow* whatever happens: it is valid for one answer. Raises OidcRefused,
        OidcUnavailable.
        """
        flow.check(query, self._clock())
        metadata = await self._discovery.metadata()
        issuer = self._settings.issuer
        tokens = await exchange(
            self._session,
            metadata,
            self._settings,
            code=code_of(query, issuer, sends_issuer=metadata.sends_issuer),
            verifier=flow.verifier,
            redirect_uri=self._redirect_uri,
        )
        claims = await self._verified(tokens, flow, metadata)
        subject: str = claims["sub"]
        # Both the address and whether it is verified come from one source.
        url, access_token = metadata.userinfo_endpoint, tokens.access_token
        if "email" not in claims and url is not None and access_token.reveal():
            claims = await userinfo(self._session, url, access_token, subject)
        return claims_of(issuer, subject, claims)

    async def _verified(self, tokens: Tokens, flow: Flow, metadata: Metadata) -> Mapping[str, Any]:
        now = self._clock()
        keys: KeySet | None = await self._discovery.keys(metadata.jwks_uri)
        while keys is not None:
            try:
                return verify(tokens, keys, self._settings, flow.nonce, now)
            except NoKeyFitsError:
                keys = await self._discovery.keys_after(keys, metadata.jwks_uri)
        raise OidcRefused("id token: signed by no key of the provider")
