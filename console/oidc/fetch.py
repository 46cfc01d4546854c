"""Requests to the provider, without redirects, with limits on an answer's time and size."""

# ruff: noqa: N818  # Named for what they tell the caller.

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)

MAX_BYTES: Final = 256 * 1024
"""The most bytes of an answer; the longest known key sets have a tenth of that."""

SECONDS: Final = 10.0
"""How long an answer may take."""

TIMEOUT: Final = ClientTimeout(total=SECONDS)

Document = dict[str, Any]


class OidcError(Exception):
    """Nobody was signed in.

    The message is a sentence for the person; `reason` says more, for the operator's log. Neither
    repeats what the provider or the browser sent.
    """

    sentence = ""

    def __init__(self, reason: str, sentence: str = "") -> None:
        super().__init__(sentence or self.sentence)
        self.reason = reason


class OidcUnavailable(OidcError):
    """The provider is unreachable, broken or not set up for this console."""

    sentence = "The sign-in provider can't be used right now; try again in a few minutes."


class OidcRefused(OidcError):
    """The person cancelled, or the answer can't be trusted."""

    sentence = "The provider's answer can't be accepted, so nobody was signed in; start again."


def provider_session(timeout: ClientTimeout = TIMEOUT) -> ClientSession:
    """The session that the provider is asked by: it keeps no cookies, and waits for *timeout*."""
    return ClientSession(
        # A connection is not used twice: what is left on it is no answer to the next request.
        connector=TCPConnector(force_close=True),
        cookie_jar=DummyCookieJar(),
        timeout=timeout,
        trust_env=False,
    )


async def fetch(
    session: ClientSession,
    method: str,
    url: str,
    what: str,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str | None = None,
    seconds: float = SECONDS,
) -> tuple[int, Document]:
    """Returns the status and the JSON object of an answer.

    It may take so many *seconds*, and no longer than the session allows. Raises OidcUnavailable,
    whose reason calls the endpoint *what*.
    """
    headers = {"Accept": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        async with (
            asyncio.timeout(seconds),
            session.request(
                method, url, data=form, headers=headers, allow_redirects=False
            ) as response,
        ):
            return response.status, _document(await _read(response))
    except TimeoutError:
        raise OidcUnavailable(f"{what}: no answer in time") from None
    except ClientError:
        raise OidcUnavailable(f"{what}: not reachable") from None
    except _BadAnswerError as error:
        raise OidcUnavailable(f"{what}: {error} (status {response.status})") from None


async def fetch_document(
    session: ClientSession, url: str, what: str, authorization: str | None = None
) -> Document:
    """Returns the JSON object at *url*. Raises OidcUnavailable, whose reason calls it *what*."""
    status, document = await fetch(session, "GET", url, what, authorization=authorization)
    if status != HTTPStatus.OK:
        raise OidcUnavailable(f"{what}: status {status}")
    return document


class _BadAnswerError(Exception):
    pass


async def _read(response: ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _BadAnswerError("answer too large")
    return bytes(body)


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _BadAnswerError("answer is not JSON") from None
    if not isinstance(document, dict):
        raise _BadAnswerError("answer is not a JSON object")
    return document
