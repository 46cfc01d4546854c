"""The answers to refused requests: one row per refusal, in OpenAI's error format."""

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from keyauthority.domain.verdicts import Verdict

ERROR: Final = "x-opentoken-error"
"""The header that has the envelope once more, for proxies that can't pass on the body of an answer."""

LONGEST_ERROR: Final = 1024
"""Bytes of that header at most: proxies read few kilobytes of a head."""

_BARE_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
_SOON = {"Retry-After": "1"}

_AUTHENTICATION = "authentication_error"
_PERMISSION = "permission_error"
_REQUEST = "invalid_request_error"
_RATE = "rate_limit_error"
_QUOTA = "insufficient_quota"
_SERVER = "server_error"

# Official clients repeat a 429, and would a 402 if they knew it: nothing comes of that here.
_NO_RETRY = {"x-should-retry": "false"}
_EXHAUSTED = (
    _QUOTA,
    "credit_balance_exhausted",
    "the workspace of this api key has no credits left",
    _NO_RETRY,
)


class Refusal(Enum):
    """Every refusal of an edge itself: status, type, code, message, further headers.

    The codes are a public contract, described in `docs/openapi.yaml`.
    The challenges are those of RFC 6750, section 3: bare when no credential was presented,
    `invalid_token` when a bad one was.
    No message says anything about a key that its presenter does not already know.
    """

    MISSING_AUTH = (
        401,
        _AUTHENTICATION,
        "missing_auth",
        "missing api key: send one header 'Authorization: Bearer <key>'",
        _BARE_CHALLENGE,
    )
    INVALID_KEY = (401, _AUTHENTICATION, "invalid_key", "invalid api key", _INVALID_TOKEN)
    EXPIRED_KEY = (401, _AUTHENTICATION, "expired_key", "expired api key", _INVALID_TOKEN)
    WORKSPACE_SUSPENDED = (
        403,
        _PERMISSION,
        "workspace_suspended",
        "the workspace of this api key is suspended",
    )
    INSUFFICIENT_SCOPE = (
        403,
        _PERMISSION,
        "insufficient_scope",
        "this api key lacks a scope that allows this request",
    )
    NOT_FOUND = (404, _REQUEST, "not_found", "no such path: endpoints are under /v1")
    BAD_REQUEST = (400, _REQUEST, "bad_request", "malformed or unacceptable http request")
    WEBSOCKETS_OFF = (
        400,
        _REQUEST,
        "websockets_off",
        "websockets are not forwarded here: send a plain http request, whose answer may stream",
    )
    HEADERS_TOO_LARGE = (431, _REQUEST, "headers_too_large", "request headers too large")
    REQUEST_TOO_LARGE = (413, _REQUEST, "request_too_large", "request body too large")
    REQUEST_TIMEOUT = (408, _REQUEST, "request_timeout", "request arrived too slowly")
    RATE_LIMITED = (429, _RATE, "rate_limited", "too many failed attempts: wait and retry", _SOON)
    TOO_MANY_REQUESTS = (
        429,
        _RATE,
        "rate_limited",
        "too many requests of this api key are under way: wait and retry",
        _SOON,
    )
    CREDIT_BALANCE_EXHAUSTED = (402, *_EXHAUSTED)
    # The same for clients that know the code under 429 alone.
    CREDIT_BALANCE_EXHAUSTED_429 = (429, *_EXHAUSTED)
    IN_FLIGHT_BUDGET_EXHAUSTED = (
        429,
        _RATE,
        "in_flight_budget_exhausted",
        "running requests hold all credits of the workspace of this api key: wait and retry",
        _SOON,
    )
    MODEL_NOT_PRICED = (
        400,
        _REQUEST,
        "model_not_priced",
        "this model, or what the path does, has no price here",
    )
    BILLING_UNAVAILABLE = (
        503,
        _SERVER,
        "billing_unavailable",
        "credits cannot be checked at the moment: retry",
        _SOON,
    )
    OVERLOADED = (
        503,
        _SERVER,
        "overloaded",
        "too many large request bodies are being received: retry",
        _SOON,
    )
    VERIFICATION_UNAVAILABLE = (
        503,
        _SERVER,
        "verification_unavailable",
        "api keys cannot be verified at the moment: retry",
        _SOON,
    )
    UPSTREAM_UNAVAILABLE = (502, _SERVER, "upstream_unavailable", "upstream unavailable")
    UPSTREAM_TIMEOUT = (504, _SERVER, "upstream_timeout", "upstream did not answer in time")
    INTERNAL_ERROR = (500, _SERVER, "internal_error", "internal error")

    def __init__(
        self,
        status: int,
        kind: str,
        code: str,
        message: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.status = status
        self.kind = kind
        self.code = code
        self.message = message
        self.headers = {"Content-Type": "application/json", **headers}
        self.json = self._envelope(message)
        self.body = self.json.encode()

    def detailed(self, detail: str) -> bytes:
        """Returns the body with *detail* behind its message."""
        return self._envelope(f"{self.message}: {detail}").encode()

    def _envelope(self, message: str) -> str:
        error = {"message": message, "type": self.kind, "code": self.code}
        return json.dumps({"error": error}, separators=(",", ":"))


REFUSALS: Final = {
    Verdict.MALFORMED: Refusal.INVALID_KEY,
    Verdict.UNKNOWN: Refusal.INVALID_KEY,
    Verdict.REVOKED: Refusal.INVALID_KEY,
    Verdict.DISABLED: Refusal.INVALID_KEY,
    Verdict.EXPIRED: Refusal.EXPIRED_KEY,
    Verdict.WORKSPACE_SUSPENDED: Refusal.WORKSPACE_SUSPENDED,
}
"""What each verdict but `VALID` is answered."""
