"""One person's sign-in at the crooked provider."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientSession
from yarl import URL

from console.oidc import Claims, OidcError, OidcSettings, Provider, Redirect
from keyauthority.client import Secret
from tests.console.oidc.crooked_provider import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    CODE,
    CrookedProvider,
    without_none,
)

REDIRECT_URI = "https://console.example.com/sign-in/oidc/callback"
MARKUP = "<script>canary-markup</script>"


class SignIn:
    """A console's provider, and people who come back from it."""

    def __init__(
        self,
        crooked: CrookedProvider,
        session: ClientSession,
        clock: Callable[[], datetime],
        log: pytest.LogCaptureFixture,
    ) -> None:
        self._crooked = crooked
        self._session = session
        self._clock = clock
        self._log = log
        self.provider = self.provider_with(Secret(CLIENT_SECRET))

    def provider_with(self, secret: Secret | None) -> Provider:
        settings = OidcSettings(self._crooked.issuer, CLIENT_ID, secret, "Crooked")
        return Provider(settings, REDIRECT_URI, self._session, self._clock)

    async def __call__(self, **query: str | None) -> Claims:
        """Begins, and comes back with a good answer, but for what *query* changes in it."""
        begun = await self.provider.begin()
        return await self.finish(begun, **query)

    async def finish(self, begun: Redirect, **query: str | None) -> Claims:
        asked = URL(begun.url).query
        self._crooked.nonce = asked["nonce"]
        answer = {"code": CODE, "state": asked["state"]} | query
        try:
            return await self.provider.finish(begun.flow, without_none(answer))
        except OidcError as error:
            self._check_says_nothing(error, begun)
            raise

    async def fails(self, kind: type[OidcError], reason: str, **query: str | None) -> str:
        """Expects the sign-in to fail with *reason*, and returns the sentence for the person."""
        with pytest.raises(kind) as caught:
            await self(**query)
        assert caught.value.reason == reason
        return str(caught.value)

    def _check_says_nothing(self, error: OidcError, begun: Redirect) -> None:
        told = "".join(traceback.format_exception(error))
        told += repr((error, begun, self.provider)) + str(error) + error.reason + self._log.text
        flow = begun.flow
        secrets: list[Any] = [CLIENT_SECRET, CODE, ACCESS_TOKEN, MARKUP, "canary-"]
        secrets += [flow.state, flow.nonce, flow.verifier, *filter(None, self._crooked.sent)]
        assert [secret for secret in secrets if secret in told] == []
