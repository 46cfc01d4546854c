"""A real OpenID provider, in a Node process of its own on loopback."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar
from yarl import URL

from console.oidc import OidcSettings
from keyauthority.client import Secret
from tests.node import FOLDER, node_with_packages

ACCOUNTS = {
    "ada": {"email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"},
    "bob": {"email": "bob@example.com", "email_verified": False, "name": "Bob"},
}
CLIENT_ID = "the console"
CLIENT_SECRET = "a secret: with a colon, a space & a %"


@dataclass(frozen=True, slots=True)
class RunningProvider:
    """The provider, and what the console is told about it."""

    settings: OidcSettings
    redirect_uri: str


StartProvider = Callable[..., RunningProvider]


@pytest.fixture
def oidc_provider() -> Iterator[StartProvider]:
    """Starts providers, which end with the test: see `provider_running`."""
    node = node_with_packages()
    with ExitStack() as stack:
        yield lambda redirect_uri, **more: stack.enter_context(
            provider_running(node, redirect_uri, **more)
        )


@contextmanager
def provider_running(
    node: str,
    redirect_uri: str,
    *,
    client: dict[str, Any] | None = None,
    accounts: dict[str, dict[str, Any]] | None = None,
    features: dict[str, Any] | None = None,
    port: int = 0,
) -> Iterator[RunningProvider]:
    """Run a provider at which the people of *accounts* sign in to come back to *redirect_uri*.

    *client* and *features* change the metadata of the console's client and the provider's settings.
    """
    metadata = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | (client or {})
    if metadata.get("token_endpoint_auth_method") == "none":
        del metadata["client_secret"]
    told = {
        "port": port,
        "clients": [metadata | {"redirect_uris": [redirect_uri]}],
        "accounts": ACCOUNTS if accounts is None else accounts,
        "features": features or {},
    }
    with _running(node, json.dumps(told)) as issuer:
        secret = Secret(metadata["client_secret"]) if "client_secret" in metadata else None
        settings = OidcSettings(issuer, metadata["client_id"], secret, "Example")
        yield RunningProvider(settings, redirect_uri)


@contextmanager
def _running(node: str, told: str) -> Iterator[str]:
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [node, "oidc_provider.js"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(told + "\n")
            process.stdin.flush()
            issuer = process.stdout.readline().strip()
            if not issuer:
                complaints.seek(0)
                pytest.fail(f"the provider did not start: {complaints.read()}")
            yield issuer
        finally:
            process.kill()


async def go(url: str, form: dict[str, str], redirect_uri: str) -> dict[str, str]:
    """Go to *url* as a browser, send *form*, and return what is brought back to *redirect_uri*."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        async with browser.get(url) as page:
            assert page.status == 200, await page.text()
            where = page.url
        async with browser.post(where, data=form, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            where = where.join(URL(answer.headers["Location"]))
        while not str(where).startswith(redirect_uri):
            async with browser.get(where, allow_redirects=False) as answer:
                where = where.join(URL(answer.headers["Location"]))
        return dict(where.query)
