"""From a request to its page: where it comes from, who sent it, what they may; then the page."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict

from console import security
from console.config import LIMITS
from console.forms import BadFormError, read_fields
from console.pages import problems
from console.paths import PATHS
from console.people import LinkInvalid, NotFound, StoreUnavailable
from console.routes import ROUTES, Router
from console.visit import ROLES, Needs, Parts, Route, Visit
from keyauthority.base.http.answer import Answer, raw_answer
from keyauthority.base.http.request import Request
from keyauthority.client.admin import MissingError, UnavailableError

_log = structlog.get_logger("console")

_READING: Final = frozenset({"GET", "HEAD"})
_NOWHERE: Final = Route("GET", "", problems.not_found, Needs.NOTHING)
_STATIC: Final = PATHS["static"].removesuffix("{name}")
_TEXT: Final = {**security.HEADERS, hdrs.CONTENT_TYPE: "text/plain; charset=utf-8"}
_UNPARSED: Final = {
    400: b"malformed or unacceptable http request\n",
    408: b"request arrived too slowly\n",
    431: b"request headers too large\n",
}
_OUR_FAULT: Final = b"internal error\n"
_FULL: Final = b"too many connections: try again\n"


class Dispatcher:
    """Answers every request that reaches the console."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._router = Router(ROUTES)
        https = parts.public_url.startswith("https:")
        self._tls_headers = security.TLS_HEADERS if https else {}
        self._answering: set[asyncio.Task[Answer]] = set()

    async def handle(self, request: Request) -> web.StreamResponse:
        """Answers *request* in any case, and logs it.

        A form is carried out even if the browser leaves: no change stays half done.
        """
        if request.method != "POST":
            return await self._answer(request)
        answering = asyncio.create_task(self._answer(request))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        return await asyncio.shield(answering)

    async def finish(self, seconds: float) -> None:
        """Waits at most *seconds* for forms whose browsers have left."""
        if not self._answering:
            return
        _, unfinished = await asyncio.wait(self._answering, timeout=seconds)
        if unfinished:
            _log.warning("forms_cut_off", forms=len(unfinished))

    def refuse(self, request: Request, status: int) -> web.StreamResponse:
        """Answers bytes that are no request."""
        answer = Answer(status, CIMultiDict(_TEXT), _UNPARSED.get(status, _OUR_FAULT))
        answer.headers.update(self._tls_headers)
        answer.force_close()
        return answer

    async def _answer(self, request: Request) -> Answer:
        path = request.rel_url.raw_path
        asset = self._asset(path) if request.method in _READING else None
        if asset is not None:
            asset.headers.update(self._tls_headers)
            return asset
        visit, answer = self._visit(request, path)
        if answer is None:
            answer = await self._page_or_problem(visit)
        answer.headers.update(self._tls_headers)
        if not request.content.is_eof():
            # The body was not read, so nobody knows where the next request begins.
            answer.force_close()
        self._log_request(visit, answer)
        return answer

    def _asset(self, path: str) -> Answer | None:
        asset = self._parts.assets.find(path.removeprefix(_STATIC))
        if asset is None or not path.startswith(_STATIC):
            return None
        headers = {
            **security.HEADERS,
            hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable",
            hdrs.CONTENT_TYPE: asset.content_type,
        }
        return Answer(200, CIMultiDict(headers), asset.body)

    def _visit(self, request: Request, path: str) -> tuple[Visit, Answer | None]:
        address = _browser_address(request, self._parts.settings.proxies)
        # HEAD, which monitors send, is answered like GET.
        method = "GET" if request.method in _READING else request.method
        methods, segments = self._router.find(path) or ({method: _NOWHERE}, {})
        route = methods.get(method)
        readable = "GET" in methods
        visit = Visit(self._parts, request, route or _NOWHERE, segments, address, readable)
        if route is not None:
            return visit, None
        if method == "GET":
            # The address of a form that was shown again with its errors, and is opened anew.
            return visit, visit.redirect(self._router.above(path))
        headers = {**_TEXT, hdrs.ALLOW: ", ".join(sorted(methods))}
        return visit, Answer(405, CIMultiDict(headers), b"method not allowed\n")

    async def _page_or_problem(self, visit: Visit) -> Answer:
        try:
            answer = await self._page(visit)
        except (MissingError, NotFound):
            answer = await problems.not_found(visit)
        except LinkInvalid:
            answer = await problems.link_invalid(visit)
        except UnavailableError:
            answer = problems.authority_unavailable(visit)
        except StoreUnavailable as error:
            _log.warning("books_unavailable", request_id=visit.request.id, reason=str(error))
            answer = problems.store_unavailable(visit)
        except BadFormError as error:
            answer = problems.bad_form(visit, error)
        except Exception:  # noqa: BLE001 - the last line of defence: nobody may see the error
            _log.exception("internal_error", request_id=visit.request.id)
            answer = problems.internal(visit)
        return answer

    async def _page(self, visit: Visit) -> Answer:
        if not visit.reading:
            if not security.same_origin(visit.request.headers):
                return problems.foreign(visit)
            # Before rights are checked: a form may take seconds, and rights may end meanwhile.
            visit.fields = await read_fields(
                visit.request, LIMITS.max_body_bytes, LIMITS.body_timeout
            )
        await self._recognise(visit)
        if visit.route.needs is not Needs.NOTHING and visit.session is None:
            return problems.signed_out(visit)
        if not await self._exists_for(visit):
            return await problems.not_found(visit)
        role = ROLES.get(visit.route.needs)
        if role is not None and not (visit.role is not None and visit.role.covers(role)):
            return await problems.forbidden(visit)
        if not visit.reading and not security.is_form_token(visit.cookie, visit.fields.raw("csrf")):
            return await problems.stale(visit)
        if visit.session is not None and not visit.route.shows_secret:
            await self._parts.books.submissions.close_open(visit.session.id)
        return await visit.route.page(visit)

    async def _recognise(self, visit: Visit) -> None:
        token = security.cookie(visit.request.cookies, security.SESSION)
        if token:
            visit.session = await self._parts.books.sessions.find(token)
        visitor = security.cookie(visit.request.cookies, security.VISITOR)
        visit.cookie = token if visit.session is not None else visitor

    async def _exists_for(self, visit: Visit) -> bool:
        # A foreign workspace does not exist for a visitor, nor does administration for others.
        needs = visit.route.needs
        if needs in ROLES:
            visit.role = await self._parts.books.memberships.role(visit.workspace_id, visit.me.id)
            return visit.role is not None
        return needs is not Needs.ADMINISTRATOR or visit.me.administrator

    def _log_request(self, visit: Visit, answer: Answer) -> None:
        if not self._parts.settings.access_log:
            return
        _log.info(
            "request",
            request_id=visit.request.id,
            client=visit.source,
            method=visit.request.method,
            # The route and not the path, which may hold a one-time link.
            page=visit.route.path,
            workspace_id=visit.path.get("workspace"),
            person_id=visit.session.person.id if visit.session is not None else None,
            status=answer.status,
            duration_ms=round((time.perf_counter() - visit.request.started) * 1000, 2),
        )


def full_answer() -> bytes:
    """Returns the answer to a connection too many, as raw bytes."""
    return raw_answer(503, {**_TEXT, hdrs.RETRY_AFTER: "1"}, _FULL)


def _browser_address(request: web.BaseRequest, proxies: int) -> str:
    """Returns the browser's address as the outermost of our *proxies* saw it.

    Each proxy adds an address on the right. What stands further left was sent by the browser
    itself, and may be anything.
    """
    peer = request.remote or ""
    if not proxies:
        return peer
    entries = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    try:
        return str(ip_address(entries[-proxies].strip()))
    except (IndexError, ValueError):
        return peer
