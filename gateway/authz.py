"""`/authz`: answers a proxy that asks before it lets a request through.

nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth` and Envoy's HTTP `ext_authz` send
the head of a client's request, wait for 200, and copy the identity headers onto the request.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Final

from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict, istr

from gateway.headers import KEY_ID, SCOPES, WORKSPACE_ID, identity
from gateway.request import EdgeRequest
from keyauthority.base.http.answer import Answer
from keyauthority.base.http.request import REQUEST_ID, Request
from keyauthority.client import VerifiedKey
from keyauthority.edge.envelope import Refusal
from keyauthority.edge.identity import is_lookalike
from keyauthority.edge.paths import holds_secret, is_unambiguous, split_target
from keyauthority.edge.scopes import ScopeRules

PREFIX: Final = "/authz"
APPENDED: Final = PREFIX + "/"
"""The prefix with the beginning of a path that a proxy appends."""

_IDENTITY_MARK: Final = "opentoken"

# nginx by convention; Traefik and Caddy by default. Envoy appends the path to the prefix instead, and asks
# with its client's method.
_PATH_HEADERS: Final = (istr("X-Original-URI"), istr("X-Forwarded-Uri"))
_METHOD_HEADERS: Final = (istr("X-Original-Method"), istr("X-Forwarded-Method"))

_UNNAMED: Final = "the proxy has to name the method and the path of the request"
_SUCCESS: Final = 200
_HEAD: Final = (
    "HTTP/1.1 200 OK\r\n"
    f"{WORKSPACE_ID}: %s\r\n{KEY_ID}: %s\r\n{SCOPES}: %s\r\n"
    f"Content-Length: 0\r\nDate: %s\r\n{REQUEST_ID}: %s\r\n\r\n"
)
_HEAD_LINES: Final = _HEAD.count("\n")


class Permission(Answer):
    """The answer that lets a request of *key* through: 200 and the identity headers.

    Most answers are this one, so its head is written in one step.
    """

    def __init__(self, key: VerifiedKey) -> None:
        super().__init__(_SUCCESS, CIMultiDict())
        self.key = key

    def _head(self, request: Request) -> bytes:
        self._declare_end(request)
        key = self.key
        if self._headers:
            # It must say what becomes of the connection.
            self._headers.extend(identity(key))
            return super()._head(request)
        head = _HEAD % (
            key.workspace_id,
            key.id,
            " ".join(key.scopes),
            rfc822_formatted_time(),
            request.id,
        )
        if head.count("\n") != _HEAD_LINES:
            raise ValueError("a line break in a header field")
        return head.encode()


def check_head(request: EdgeRequest) -> Refusal | None:
    """Returns why *request* is refused; None if it is not.

    Refused are, in the target that the proxy names, a key, and a path that proxy and upstream may read
    in two ways; and a field that an upstream may take for an identity header, while the proxy leaves
    it standing.
    """
    for target in _targets(request):
        if holds_secret(target) or not is_unambiguous(split_target(target)[0]):
            return Refusal.BAD_REQUEST
    headers = request.headers
    if _IDENTITY_MARK not in "".join(headers).lower():
        return None
    return Refusal.BAD_REQUEST if any(map(is_lookalike, headers)) else None


def asks_for_credits(request: EdgeRequest) -> bool:
    """Returns whether the proxy asks, too, whether the key's workspace has credits.

    Only at `/authz` itself, where the query is the proxy's own.
    """
    target = request.raw_path
    if "credits" not in target:
        return False
    path, query = split_target(target)
    return path == PREFIX and any(part.split("=")[0] == "credits" for part in query.split("&"))


def check_scopes(
    request: EdgeRequest, rules: ScopeRules, scopes: Collection[str]
) -> Refusal | None:
    """Returns why a key with *scopes*, which are some, may not do what *request* asks about.

    None if it may. A proxy names method and path in one way, and its client may have added the others:
    each that is named has to be allowed, and nothing is allowed if one of the two is not named. The proxy
    must set its headers itself: one that does not passes on what its client claims.
    """
    paths = [split_target(target)[0] for target in _targets(request)]
    methods = _methods(request)
    if not paths or not methods:
        request.detail = _UNNAMED
        return Refusal.INSUFFICIENT_SCOPE
    for path, method in product(paths, methods):
        if not rules.allow(scopes, method, path):
            request.detail = rules.missing(method, path)
            return Refusal.INSUFFICIENT_SCOPE
    return None


def _targets(request: EdgeRequest) -> list[str]:
    headers = request.headers
    targets = [value for name in _PATH_HEADERS for value in headers.getall(name, ())]
    if request.raw_path.startswith(APPENDED):
        targets.append(request.raw_path.removeprefix(PREFIX))
    return targets


def _methods(request: EdgeRequest) -> list[str]:
    headers = request.headers
    methods = [value for name in _METHOD_HEADERS for value in headers.getall(name, ())]
    if request.raw_path.startswith(APPENDED):
        methods.append(request.method)
    return methods
