"""Pages of other origins (CORS): which may call the API from a browser, and read its answers.

A browser asks first, without the key (a preflight), and shows an answer to its page only where a header
field allows the page's origin. No cookie takes part, so `Access-Control-Allow-Credentials` is never said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway import authz
from gateway.edge import Edge
from gateway.headers import allow_pages
from gateway.request import EdgeRequest, Outcome, check_head
from keyauthority.base.http.answer import Answer
from keyauthority.edge.paths import check_path, holds_secret, split_target

ANY: Final = "*"

_NO_CONTENT: Final = 204
# The questions of proxies, and probes.
_NOT_FOR_PAGES: Final = frozenset({authz.PREFIX, "/healthz", "/readyz"})
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_PREFLIGHT: Final[Mapping[str, str]] = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE",
    # The asterisk stands for all but the first.
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "authorization, *",
    # Seconds; Chromium remembers it no longer.
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",
}
_split_origin = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
).fullmatch


def parse_origin(text: str) -> str:
    """Returns *text* if it is an origin as browsers send it, or `*`; raises ValueError for others."""
    match = _split_origin(text)
    if text != ANY and (match is None or match[2] == _DEFAULT_PORTS.get(match[1], "")):
        raise ValueError(
            f"{text!r} is no origin as browsers send it, such as https://app.example.com:"
            " in small letters, without a path and the usual port; or * for all"
        )
    return text


class PageRequest(EdgeRequest):
    """A request that a page may have sent, whose answer says which pages may read it."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = EdgeRequest.ATTRS | frozenset({"readable_by"})

    # The header fields that say so.
    readable_by: Mapping[str, str] = MappingProxyType({})

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        allow_pages(response.headers, self.readable_by)


class CrossOrigin:
    """Answers what *edge* answers, for pages of *origins*; `*` among them stands for every page."""

    def __init__(self, edge: Edge, origins: Collection[str]) -> None:
        self._edge = edge
        self._origins = frozenset(origins)
        self._any = ANY in self._origins

    async def handle(self, request: PageRequest) -> web.StreamResponse:
        """Answers *request*: a preflight at once, without a key; anything else as ever, but readable."""
        request.readable_by = self._fields(request)
        request.from_page = (
            hdrs.ORIGIN in request.headers
            and hdrs.ACCESS_CONTROL_ALLOW_ORIGIN in request.readable_by
        )
        if self._is_preflight(request):
            return self._preflight_answer(request)
        response = await self._edge.handle(request)
        if isinstance(response, Answer):
            # Others have sent their head.
            allow_pages(response.headers, request.readable_by)
        return response

    def _preflight_answer(self, request: PageRequest) -> Answer:
        request.outcome = Outcome.PREFLIGHT
        self._edge.observer.ended(request, _NO_CONTENT)
        headers = CIMultiDict(_PREFLIGHT)
        headers.extend(request.readable_by)
        answer = Answer(_NO_CONTENT, headers)
        if hdrs.EXPECT in request.headers and not request.content.is_eof():
            # A client that was not invited to send its body may send it or not.
            answer.force_close()
        return answer

    def _fields(self, request: PageRequest) -> Mapping[str, str]:
        path, _ = split_target(request.raw_path)
        if path in _NOT_FOR_PAGES or path.startswith(authz.APPENDED):
            return {}
        if self._any:
            return _granted(ANY)
        origins = request.headers.getall(hdrs.ORIGIN, [])
        allowed = len(origins) == 1 and origins[0] in self._origins
        # Whoever keeps the answer must not give it to a page of another origin.
        return {hdrs.VARY: hdrs.ORIGIN, **(_granted(origins[0]) if allowed else {})}

    def _is_preflight(self, request: PageRequest) -> bool:
        return (
            request.method == hdrs.METH_OPTIONS
            and request.from_page
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and check_head(request, self._edge.limits) is None
            and not holds_secret(request.raw_path)
            and check_path(split_target(request.raw_path)[0]) is None
        )


def _granted(origin: str) -> dict[str, str]:
    return {
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
        hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: ANY,
    }
