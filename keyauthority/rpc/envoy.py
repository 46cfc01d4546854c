"""`envoy.service.auth.v3.Authorization`: Envoy asks about each request before it forwards it.

The verdicts and the answers are those of the gateway's `/authz`. A refused request is an answer; a
gRPC error says that there is no verdict, and Envoy lets nothing through on one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from keyauthority.domain.callers import Actor
from keyauthority.domain.limits import SECRET_BYTES
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.edge.bearer import bearer_token
from keyauthority.edge.envelope import REFUSALS, Refusal
from keyauthority.edge.identity import KEY_ID, SCOPES, WORKSPACE_ID, is_lookalike
from keyauthority.edge.paths import holds_secret, is_unambiguous, split_target
from keyauthority.edge.scopes import ScopeRules
from keyauthority.rpc.envoy_contract import CheckRequest, CheckResponse, HeaderValueOption
from keyauthority.rpc.service import Parts

_AUTHORIZATION: Final = "authorization"
_CREDENTIALS: Final = (_AUTHORIZATION, "x-api-key", "api-key")
"""What the upstream never sees: the key, and the other places in which clients send keys."""

_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What Envoy asks about one request. Its `repr` does not show the secret."""

    secret: str = field(repr=False)
    method: str
    # As it goes to the upstream.
    path: str


def read(request: Any) -> Question | Refusal:
    """Returns the question in a `CheckRequest`, or why the client's request is refused unasked."""
    http = request.attributes.request.http
    # Envoy joins fields of one name by commas, or lists all of them (`encode_raw_headers`).
    listed = http.header_map.headers
    names = [*http.headers, *(field.key for field in listed)]
    if "opentoken" in "".join(names).lower() and any(map(is_lookalike, names)):
        return Refusal.BAD_REQUEST
    path, _ = split_target(http.path)
    if holds_secret(http.path) or not is_unambiguous(path):
        return Refusal.BAD_REQUEST
    presented = [_text(field) for field in listed if field.key == _AUTHORIZATION]
    if _AUTHORIZATION in http.headers:
        presented.append(http.headers[_AUTHORIZATION])
    secret = bearer_token(presented)
    if secret is None:
        return Refusal.MISSING_AUTH
    if len(secret) > SECRET_BYTES:
        return Refusal.INVALID_KEY
    return Question(secret, http.method, path)


def _text(field: Any) -> str:
    # Envoy sets one of the two.
    text: str = field.value or field.raw_value.decode("latin-1")
    return text


def answer(
    question: Question, verdict: Verdict, key: VerifiedKey | None, rules: ScopeRules | None
) -> bytes:
    """Returns the serialised `CheckResponse` to *question*, whose secret has *verdict*.

    *rules* say what keys with scopes may do; None: the upstream judges that.
    """
    if verdict is not Verdict.VALID or key is None:
        return DENIED[REFUSALS.get(verdict, Refusal.VERIFICATION_UNAVAILABLE)]
    # A key without scopes has full access.
    if key.scopes and rules is not None:
        method, path = question.method, question.path
        if not rules.allow(key.scopes, method, path):
            refusal = Refusal.INSUFFICIENT_SCOPE
            return _denied(refusal, refusal.detailed(rules.missing(method, path)))
    return _permission(key.workspace_id, key.id, " ".join(key.scopes))


@lru_cache(4096)
def _permission(workspace_id: str, key_id: str, scopes: str) -> bytes:
    identity = {WORKSPACE_ID: workspace_id, KEY_ID: key_id, SCOPES: scopes}
    ok = {"headers": _options(identity), "headers_to_remove": _CREDENTIALS}
    serialised: bytes = CheckResponse(status={}, ok_response=ok).SerializeToString()
    return serialised


def _denied(refusal: Refusal, body: bytes) -> bytes:
    code: int = _STATUS.get(refusal.status, grpc.StatusCode.UNAVAILABLE).value[0]
    denied = {
        "status": {"code": refusal.status},
        "headers": _options(refusal.headers),
        "body": body.decode(),
    }
    response = CheckResponse(status={"code": code}, denied_response=denied)
    serialised: bytes = response.SerializeToString()
    return serialised


def _options(fields: Any) -> list[Any]:
    # Without `append`, each replaces what the client sent under its name.
    return [
        HeaderValueOption(header={"key": name, "value": value}) for name, value in fields.items()
    ]


DENIED: Final = {refusal: _denied(refusal, refusal.body) for refusal in Refusal}
"""The serialised `CheckResponse` of each refusal."""


class AuthorizationServicer:
    """Answers what is not in memory."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._counts = parts.metrics.verdicts
        self._rules = parts.scope_rules

    async def Check(self, request: Any, actor: Actor) -> bytes:
        question = read(request)
        if isinstance(question, Refusal):
            return DENIED[question]
        [verification] = await self._verdicts.verify_all([question.secret], 0, fresh=False)
        self._counts[verification.verdict.value] += 1
        return answer(question, verification.verdict, verification.key, self._rules)


class QuickCheck:
    """Answers from memory."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._counts = parts.metrics.verdicts
        self._rules = parts.scope_rules

    def answer(self, message: bytes, now: float) -> bytes | None:
        """Returns the serialised answer, or None where the servicer has to answer."""
        try:
            question = read(CheckRequest.FromString(message))
        except DecodeError:
            return None
        if isinstance(question, Refusal):
            return DENIED[question]
        cached = self._verdicts.cached(question.secret, 0, now)
        if cached is None:
            return None
        self._counts[cached.number] += 1
        return answer(question, cached.verdict, cached.key, self._rules)
