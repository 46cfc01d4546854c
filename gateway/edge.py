"""From a request to its answer: the gateway's one handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway import authz, key_page
from gateway.authorize import Authorizer, Readiness
from gateway.billing.billing import Billing
from gateway.config import Limits
from gateway.forward import Forwarder
from gateway.handshake import read_handshake
from gateway.observe import Observer
from gateway.relay import abort
from gateway.request import EdgeRequest, Grant, Outcome, RequestBody, check_head, open_body
from gateway.under_way import Concurrency, Streams
from gateway.upstream import VerdictLapsedError
from keyauthority.base.http.answer import Answer
from keyauthority.client import VerifiedKey
from keyauthority.edge.envelope import ERROR, LONGEST_ERROR, Refusal
from keyauthority.edge.paths import check_path, holds_secret, split_target
from keyauthority.edge.scopes import ScopeRules

_UNPARSED: Final = (Refusal.BAD_REQUEST, Refusal.HEADERS_TOO_LARGE, Refusal.REQUEST_TIMEOUT)
# After these it is unclear where the client's next request begins, or it should not send one.
_CLOSING: Final = frozenset({*_UNPARSED, Refusal.REQUEST_TOO_LARGE})
_BY_STATUS: Final = {refusal.status: refusal for refusal in _UNPARSED}
_OK: Final = b'{"status":"ok"}'
_JSON: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/json"})

_Handler = Callable[[EdgeRequest], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("gateway.edge")


@dataclass(slots=True, kw_only=True, eq=False)
class Edge:
    """Answers every request that reaches the gateway."""

    authorizer: Authorizer
    # Judges the keys that a proxy asks about at `/authz`.
    proxy_authorizer: Authorizer
    forwarder: Forwarder
    # Cuts accepted requests off when their keys die; None: they run on to their end.
    streams: Streams | None
    # Holds credits for each accepted request, and charges it; None: they cost nothing.
    billing: Billing | None
    # What keys with scopes may do; None: the upstream judges that.
    rules: ScopeRules | None
    websockets: bool
    readiness: Readiness
    observer: Observer
    limits: Limits
    # Seconds that a client with too many failed attempts has to wait.
    retry_after: int
    _concurrency: Concurrency = field(init=False)
    _own_paths: dict[str, _Handler] = field(init=False)
    _refusal_headers: dict[Refusal, CIMultiDict[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._concurrency = Concurrency(self.limits.max_requests_per_key)
        self._own_paths = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            authz.PREFIX: self._authz,
            key_page.PATH: self._key,
        }
        self._refusal_headers = {refusal: CIMultiDict(refusal.headers) for refusal in Refusal}
        self._refusal_headers[Refusal.RATE_LIMITED][hdrs.RETRY_AFTER] = str(self.retry_after)

    async def handle(self, request: EdgeRequest) -> web.StreamResponse:
        """Answers *request*, whatever happens, and notes its end."""
        try:
            response = await self._answer(request)
        except asyncio.CancelledError:
            refusal = request.cut
            if refusal is None and request.client.interrupted:
                refusal = Refusal.UPSTREAM_TIMEOUT
            if refusal is None or request.writer.output_size > 0:
                self._lost(request)
                raise
            response = self._refuse(request, refusal)
            if request.cut is not None:
                request.outcome = Outcome.CUT
        except ConnectionError:
            self._lost(request)
            raise
        except Exception:  # noqa: BLE001 - nobody outside may see what it was
            response = self._own_fault(request)
        self.observer.ended(request, response.status)
        return response

    def at_once(self, request: EdgeRequest) -> Answer | None:
        """Answers *request*, and notes its end, if nothing is to be waited for; else returns None."""
        try:
            answer = self._authz_at_once(request)
        except Exception:  # noqa: BLE001 - nobody outside may see what it was
            answer = self._own_fault(request)
        if answer is not None:
            self.observer.ended(request, answer.status)
        return answer

    def refuse_unparsed(self, request: EdgeRequest, status: int) -> web.StreamResponse:
        """Answers what the parser could not make a request of, and notes its end."""
        refusal = _BY_STATUS.get(status, Refusal.INTERNAL_ERROR)
        response = self._refuse(request, refusal)
        # It may have been a proxy's question.
        response.headers[ERROR] = refusal.json
        self.observer.ended(request, response.status)
        return response

    async def _answer(self, request: EdgeRequest) -> web.StreamResponse:
        refusal = check_head(request, self.limits)
        if refusal is not None:
            return self._refuse(request, refusal)
        if holds_secret(request.raw_path):
            return self._refuse(request, Refusal.BAD_REQUEST)
        path, _ = split_target(request.raw_path)
        handler = self._own_paths.get(path)
        if handler is not None:
            return await handler(request)
        if path.startswith(authz.APPENDED):
            return await self._authz(request)
        refusal = check_path(path)
        if refusal is None and hdrs.UPGRADE in request.headers:
            key_headers = self.authorizer.key_headers
            refusal = read_handshake(request, key_headers, served=self.websockets)
        if refusal is not None:
            return self._refuse(request, refusal)
        return await self._v1(request, path)

    async def _v1(self, request: EdgeRequest, path: str) -> web.StreamResponse:
        grant = await self._authorize(request, path)
        if isinstance(grant, Refusal):
            return self._refuse(request, grant)
        if not self._enter(request, grant.key):
            return self._refuse(request, Refusal.TOO_MANY_REQUESTS)
        request.client.delivery.owner = grant.key.id
        body = open_body(request, self.limits)
        if isinstance(body, Refusal):
            return self._refuse(request, body)
        if self.streams is None:
            answer = await self._forward(request, path, grant, body)
        else:
            with self.streams.watching(request, grant.key):
                answer = await self._forward(request, path, grant, body)
        return self._refuse(request, answer) if isinstance(answer, Refusal) else answer

    async def _authorize(self, request: EdgeRequest, path: str) -> Grant | Refusal:
        authorizer = self.authorizer
        grant = authorizer.from_memory(request) or await authorizer.from_authority(request)
        if isinstance(grant, Refusal) or not grant.key.scopes or self.rules is None:
            return grant
        if self.rules.allow(grant.key.scopes, request.method, path):
            return grant
        request.detail = self.rules.missing(request.method, path)
        return Refusal.INSUFFICIENT_SCOPE

    async def _forward(
        self, request: EdgeRequest, path: str, grant: Grant, body: bytes | RequestBody | None
    ) -> web.StreamResponse | Refusal:
        # One function, since each piece of an answer goes through all that wait for its end.
        sent, bill = body, None
        try:
            if self.billing is not None:
                opened = await self.billing.open(request, path, grant.key, body)
                if not isinstance(opened, tuple):
                    return opened
                sent, bill = opened
            try:
                return await self.forwarder.forward(request, grant, sent, bill)
            except VerdictLapsedError:
                again = await self._authorize(request, path)
            if isinstance(again, Refusal):
                return again
            # A secret stays that of its key, and a key in its workspace: what is held is for this one too.
            try:
                return await self.forwarder.forward(request, again, sent, bill)
            except VerdictLapsedError:
                return Refusal.VERIFICATION_UNAVAILABLE
        finally:
            if bill is not None:
                bill.close()
            if isinstance(body, RequestBody):
                body.release()

    async def _authz(self, request: EdgeRequest) -> web.StreamResponse:
        refusal = authz.check_head(request)
        if refusal is not None:
            return self._refuse(request, refusal)
        authorizer = self.proxy_authorizer
        grant = authorizer.from_memory(request) or await authorizer.from_authority(request)
        answer = self._authz_answer(request, grant)
        if isinstance(answer, authz.Permission) and authz.asks_for_credits(request):
            refusal = await self._check_credits(answer.key)
            if refusal is not None:
                return self._refuse(request, refusal)
        return answer

    def _authz_at_once(self, request: EdgeRequest) -> Answer | None:
        target = request.raw_path
        path, _ = split_target(target)
        if not (path == authz.PREFIX or path.startswith(authz.APPENDED)):
            return None
        if authz.asks_for_credits(request):
            return None
        if check_head(request, self.limits) or holds_secret(target) or authz.check_head(request):
            return None
        grant = self.proxy_authorizer.from_memory(request)
        return None if grant is None else self._authz_answer(request, grant)

    def _authz_answer(self, request: EdgeRequest, grant: Grant | Refusal) -> Answer:
        if isinstance(grant, Refusal):
            return self._refuse(request, grant)
        if grant.key.scopes and self.rules is not None:
            refusal = authz.check_scopes(request, self.rules, grant.key.scopes)
            if refusal is not None:
                return self._refuse(request, refusal)
        request.outcome = Outcome.AUTHORIZED
        return authz.Permission(grant.key)

    async def _check_credits(self, key: VerifiedKey) -> Refusal | None:
        # To let a request pass unchecked that is to be checked would be worse than to refuse it.
        return Refusal.BAD_REQUEST if self.billing is None else await self.billing.check(key)

    async def _key(self, request: EdgeRequest) -> web.StreamResponse:
        authorizer = self.authorizer
        grant = authorizer.from_memory(request) or await authorizer.from_authority(request)
        if isinstance(grant, Refusal):
            return self._refuse(request, grant)
        if request.method not in key_page.METHODS:
            return self._refuse(request, Refusal.NOT_FOUND)
        # Each asks the authority, so there are as few at a time as of other requests.
        if not self._enter(request, grant.key):
            return self._refuse(request, Refusal.TOO_MANY_REQUESTS)
        available = None
        if self.billing is not None:
            available = await self.billing.available(grant.key)
        if isinstance(available, Refusal):
            return self._refuse(request, available)
        request.outcome = Outcome.DESCRIBED
        return key_page.key_answer(grant.key, available)

    def _enter(self, request: EdgeRequest, key: VerifiedKey) -> bool:
        # Whether the key may have one more request under way; this is it then, until its end.
        if not self._concurrency.enter(key.id):
            return False
        request.on_end = partial(self._concurrency.leave, key.id)
        return True

    async def _healthz(self, request: EdgeRequest) -> web.StreamResponse:
        request.outcome = Outcome.PROBE
        return Answer(200, _JSON.copy(), _OK)

    async def _readyz(self, request: EdgeRequest) -> web.StreamResponse:
        if request.client.leaving or not await self.readiness.ready():
            return self._refuse(request, Refusal.VERIFICATION_UNAVAILABLE)
        return await self._healthz(request)

    def _refuse(self, request: EdgeRequest, refusal: Refusal) -> Answer:
        request.outcome = refusal.code
        headers = self._refusal_headers[refusal].copy()
        body = refusal.detailed(request.detail) if request.detail else refusal.body
        if request.raw_path.startswith(authz.PREFIX):
            headers[ERROR] = body.decode() if len(body) <= LONGEST_ERROR else refusal.json
        response = Answer(refusal.status, headers, body)
        # A client that was not invited to send its body may send it or not: only closing is clear.
        uninvited = hdrs.EXPECT in request.headers and not request.content.is_eof()
        if refusal in _CLOSING or uninvited:
            response.force_close()
        return response

    def _own_fault(self, request: EdgeRequest) -> Answer:
        _log.exception("internal_error", request_id=request.id)
        if request.writer.output_size > 0:
            abort(request)
        return self._refuse(request, Refusal.INTERNAL_ERROR)

    def _lost(self, request: EdgeRequest) -> None:
        request.outcome = Outcome.CLIENT_LEFT
        self.observer.ended(request, 0)
        request.end()
