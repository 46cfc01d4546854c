"""One person's sign-in at the provider: its secrets, its steps' results, and the browser's answer."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Final, Self

from console.oidc.fetch import OidcError, OidcRefused, OidcUnavailable
from keyauthority.client import Secret

LIFETIME: Final = timedelta(minutes=10)
_as_text = re.compile(
    r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([0-9]{1,11})"
).fullmatch

_CANCELLED: Final = "The sign-in was cancelled at the provider."

_NOT_BEGUN_HERE: Final = (
    "This sign-in was not begun in this browser within the last ten minutes; start again."
)

_CANCELLATIONS: Final = frozenset(
    {"access_denied", "account_selection_required", "consent_required", "interaction_required",
     "login_required"}
)  # fmt: skip

_OUTAGES: Final = frozenset({"server_error", "temporarily_unavailable"})


@dataclass(frozen=True, slots=True)
class Flow:
    """The secrets that the browser keeps during a sign-in, to prove whose answer it brings.

    `state` ties the answer to the browser, `nonce` the id token to the sign-in, and `verifier` the
    code to this console (PKCE).
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begin_time: datetime

    @classmethod
    def begin(cls, now: datetime) -> Self:
        """Returns a new flow, which is valid for `LIFETIME` from *now*."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, now)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Returns the flow that `to_text` encoded, or None for any other text."""
        match = _as_text(text)
        if match is None:
            return None
        state, nonce, verifier, seconds = match.groups()
        return cls(state, nonce, verifier, datetime.fromtimestamp(int(seconds), UTC))

    def to_text(self) -> str:
        """Returns the value of a cookie, which neither scripts nor other sites may read or set."""
        seconds = int(self.begin_time.timestamp())
        return f"{self.state}.{self.nonce}.{self.verifier}.{seconds}"

    @property
    def challenge(self) -> str:
        """The SHA-256 of the verifier, which is public (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def is_answered_by(self, query: Mapping[str, str]) -> bool:
        """Returns whether *query* is the answer to this flow and to no other."""
        return same_text(query.get("state"), self.state)

    def check(self, query: Mapping[str, str], now: datetime) -> None:
        """Raises OidcRefused unless *query* answers this flow in time."""
        if now - self.begin_time >= LIFETIME:
            raise OidcRefused("response: too late", _NOT_BEGUN_HERE)
        if not self.is_answered_by(query):
            raise OidcRefused("response: of another sign-in", _NOT_BEGUN_HERE)


@dataclass(frozen=True, slots=True)
class Redirect:
    """The URL that begins a sign-in, and the flow that the browser keeps for its return."""

    url: str = field(repr=False)
    flow: Flow


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that a code was exchanged for. `access_token` is empty if there is none."""

    id_token: Secret
    access_token: Secret


@dataclass(frozen=True, slots=True)
class Claims:
    """The provider's statements about the person who signed in.

    `issuer` and `subject` identify the person; an e-mail address may change hands. `email` is empty
    if the provider gives none, and proves nothing unless `email_verified`. `name` may be empty.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str


def same_text(value: object, expected: str) -> bool:
    """Returns whether *value* is the text *expected*, in constant time."""
    return isinstance(value, str) and compare_digest(
        value.encode(errors="replace"), expected.encode()
    )


def code_of(query: Mapping[str, str], issuer: str, *, sends_issuer: bool) -> str:
    """Returns the code of an answer from *issuer*, which names itself if it *sends_issuer*.

    Raises OidcRefused or OidcUnavailable for an answer without a code to trust.
    """
    # The issuer is checked first: the error of another provider means nothing (RFC 9207).
    if query.get("iss", None if sends_issuer else issuer) != issuer:
        raise OidcRefused("response: of another issuer")
    if "error" in query:
        raise _error(query["error"])
    code = query.get("code")
    if not code:
        raise OidcRefused("response: without a code")
    return code


def _error(code: str) -> OidcError:
    if code in _CANCELLATIONS:
        return OidcRefused(f"response: {code}", _CANCELLED)
    if code in _OUTAGES:
        return OidcUnavailable(f"response: {code}")
    return OidcRefused("response: an error that only the provider can explain")
