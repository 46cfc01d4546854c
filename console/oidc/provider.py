"""Signing in at one OpenID provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import ClientSession
from joserfc.jwk import KeySet
from yarl import URL

from console.oidc.discovery import Discovery, Keys, Metadata
from console.oidc.fetch import OidcRefused
from console.oidc.flow import Begun, Claims, Flow, check_flow, code_of
from console.oidc.id_token import Expected, NoKeyFitsError, verify
from console.oidc.settings import OidcSettings
from console.oidc.tokens import Tokens, claims_of, exchange, userinfo


class Provider:
    """The provider, as far as the console needs it.

    `session` is a `provider_session`. Nothing is asked before the first person signs in, so an
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
        self._keys = Keys(session, clock)

    async def begin(self) -> Begun:
        """Begin a sign-in. Raises OidcUnavailable."""
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
        return Begun(str(url), flow)

    async def finish(self, flow: Flow, query: Mapping[str, str]) -> Claims:
        """Who came back with *query* from the sign-in *flow*. Raises OidcRefused, OidcUnavailable.

        The caller forgets *flow* whatever comes of it: each is good for one answer.
        """
        check_flow(flow, query, self._clock())
        metadata = await self._discovery.metadata()
        code = code_of(query, metadata, self._settings.issuer)
        tokens = await exchange(
            self._session,
            metadata,
            self._settings,
            code=code,
            verifier=flow.verifier,
            redirect_uri=self._redirect_uri,
        )
        said = await self._verified(tokens, flow, metadata)
        return await self._claims(said, tokens, metadata)

    async def _verified(self, tokens: Tokens, flow: Flow, metadata: Metadata) -> Mapping[str, Any]:
        expected = Expected(
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=flow.nonce,
            now=self._clock(),
        )
        keys: KeySet | None = await self._keys.current(metadata.jwks_uri)
        while keys is not None:
            try:
                return verify(tokens, keys, expected)
            except NoKeyFitsError:
                keys = await self._keys.newer_than(keys, metadata.jwks_uri)
        raise OidcRefused("id token: signed by no key of the provider")

    async def _claims(self, said: Mapping[str, Any], tokens: Tokens, metadata: Metadata) -> Claims:
        # One source for the address and whether it is verified, never half from each.
        subject: str = said["sub"]
        url, access_token = metadata.userinfo_endpoint, tokens.access_token
        if "email" not in said and url is not None and access_token.reveal():
            said = await userinfo(self._session, url, access_token, subject)
        return claims_of(self._settings.issuer, subject, said)
