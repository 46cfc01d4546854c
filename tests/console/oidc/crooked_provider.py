"""An OpenID provider that does as it is told, right or wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry

CLIENT_ID = "console"
CLIENT_SECRET = "canary-client-secret"
CODE = "canary-code"
ACCESS_TOKEN = "canary-access-token"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CrookedProvider:
    """A provider that is right in everything until a test changes a part of it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.issuer = ""
        self.nonce = ""
        self.key: Key = ECKey.generate_key("P-256", {"kid": "first"})
        self.header: dict[str, Any] = {"alg": "ES256", "kid": "first"}
        self.published: list[dict[str, Any]] = [self.key.as_dict()]
        self.discovery: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.instead: dict[str, Handler] = {}
        self.asked: list[str] = []
        self.authorization: str | None = None
        self.form: dict[str, str] = {}
        self.id_token: Callable[[dict[str, Any]], str] = self._sign
        self.sent: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        if name in self.instead:
            return await self.instead[name](request)
        answer = getattr(self, f"_{name.replace('-', '_')}")
        return web.json_response(without_none(await answer(request)))

    async def _openid_configuration(self, _: web.Request) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        } | self.discovery

    async def _jwks(self, _: web.Request) -> dict[str, Any]:
        return {"keys": self.published}

    async def _token(self, request: web.Request) -> dict[str, Any]:
        self.authorization = request.headers.get("Authorization")
        self.form = {name: str(value) for name, value in (await request.post()).items()}
        now = int(self._clock().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "248289761001",
            "nonce": self.nonce,
            "iat": now,
            "exp": now + 300,
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada",
        } | self.claims
        id_token = self.id_token(without_none(claims))
        self.sent.append(id_token)
        tokens = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": id_token}
        return tokens | self.tokens

    async def _userinfo(self, request: web.Request) -> dict[str, Any]:
        self.authorization = request.headers.get("Authorization")
        return {"sub": "248289761001"} | self.userinfo

    def _sign(self, claims: dict[str, Any]) -> str:
        registry = JWSRegistry(algorithms=[self.header["alg"]], strict_check_header=False)
        return jwt.encode(without_none(self.header), claims, self.key, registry=registry)


def without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def answering(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Handler:
    """Answers with *body*."""

    async def handle(_: web.Request) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=content, headers=headers)

    return handle


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def without_end(request: web.Request) -> web.StreamResponse:
    """Answers with more and more, as long as it is listened to."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


@asynccontextmanager
async def crooked_provider_serving(
    clock: Callable[[], datetime],
) -> AsyncIterator[CrookedProvider]:
    provider = CrookedProvider(clock)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
