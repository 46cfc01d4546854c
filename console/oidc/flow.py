"""One person's way to the provider and back, and what the browser brings back."""

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

from console.oidc.discovery import Metadata
from console.oidc.fetch import OidcError, OidcRefused, OidcUnavailable

LIFETIME: Final = timedelta(minutes=10)
_RANDOM_BYTES: Final = 32
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
    """What the browser keeps until it comes back: proof that the answer is to its own question.

    `state` ties the answer to the browser, `nonce` the id token to this sign-in, and `verifier`
    the code to who asked for it (PKCE).
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begin_time: datetime

    @classmethod
    def begin(cls, now: datetime) -> Self:
        """A fresh one, good for `LIFETIME` from *now*."""
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        return cls(state, nonce, verifier, now)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """What `to_text` gave, or None if *text* is something else."""
        found = _as_text(text)
        if found is None:
            return None
        state, nonce, verifier, seconds = found.groups()
        return cls(state, nonce, verifier, datetime.fromtimestamp(int(seconds), UTC))

    def to_text(self) -> str:
        """For a cookie that no script reads and no other site's page sets."""
        seconds = int(self.begin_time.timestamp())
        return f"{self.state}.{self.nonce}.{self.verifier}.{seconds}"

    @property
    def challenge(self) -> str:
        """The verifier's SHA-256, which may be seen (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def is_answered_by(self, query: Mapping[str, str]) -> bool:
        """Whether *query* is the answer to this question and to no other."""
        return same_text(query.get("state"), self.state)

    def is_current(self, now: datetime) -> bool:
        """Whether an answer at *now* comes in time."""
        return now - self.begin_time < LIFETIME


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where to send the browser, and what to keep for its return."""

    url: str = field(repr=False)
    flow: Flow


@dataclass(frozen=True, slots=True)
class Claims:
    """Who signed in, as the provider says it.

    A person is `issuer` and `subject`; an e-mail address may change hands. `email` is empty if the
    provider gives none, and belongs to the person only if `email_verified`. `name` may be empty.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str


def same_text(given: object, expected: str) -> bool:
    """Whether *given* is the text *expected*, in a time that doesn't tell how much of it is."""
    return isinstance(given, str) and compare_digest(
        given.encode(errors="replace"), expected.encode()
    )


def check_flow(flow: Flow, query: Mapping[str, str], now: datetime) -> None:
    """Raises OidcRefused unless *query* answers *flow*, in time."""
    if not flow.is_current(now):
        raise OidcRefused("response: too late", _NOT_BEGUN_HERE)
    if not flow.is_answered_by(query):
        raise OidcRefused("response: of another sign-in", _NOT_BEGUN_HERE)


def code_of(query: Mapping[str, str], metadata: Metadata, issuer: str) -> str:
    """The code. Raises OidcRefused or OidcUnavailable for what has none to trust."""
    # Whose answer it is comes first: an error of another provider's is none (RFC 9207).
    if query.get("iss", None if metadata.sends_issuer else issuer) != issuer:
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
