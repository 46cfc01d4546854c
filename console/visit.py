"""One request to the console: what its page requires, who sent it, and the answers to it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import hdrs
from multidict import CIMultiDict

from console import security
from console.authority import Acting, Authority, Names
from console.config import Settings
from console.forms import Fields, without_secret
from console.oidc import Provider
from console.people import NotFound, Origin, People, Person, Role, Session
from console.rendering import Assets, Rendering
from console.words import NOTICES
from keyauthority.base.http.answer import Answer
from keyauthority.base.http.request import Request
from keyauthority.client import admin

_MOST_WORKSPACES: Final = 20
"""Other workspaces that the menu of a page offers."""
_LONGEST_VALUE: Final = 512
"""Characters of a query value that are read: more than the token of a list's page has."""
_LONGEST_SEARCH: Final = 8_192
"""Characters in which a secret is looked for: more than an address holds."""
_NOTICE_SECONDS: Final = 30
"""The time in which a redirected browser opens the next page."""


class Needs(enum.Enum):
    """What a page requires of its visitor."""

    # Nothing: signing in, one-time links, probes.
    NOTHING = enum.auto()
    # To be signed in.
    PERSON = enum.auto()
    ADMINISTRATOR = enum.auto()
    # A role in the workspace of the path, or one that covers it.
    VIEWER = enum.auto()
    MEMBER = enum.auto()
    OWNER = enum.auto()


ROLES: Final = {Needs.VIEWER: Role.VIEWER, Needs.MEMBER: Role.MEMBER, Needs.OWNER: Role.OWNER}
"""The roles that the pages of a workspace require."""

_PERMISSIONS: Final = {"keys.change": Role.MEMBER, "members.manage": Role.OWNER}


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A workspace and the visitor's role in it: `owner`, `member` or `viewer`."""

    id: str
    name: str
    suspended: bool
    role: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What all pages are made with."""

    settings: Settings
    # What browsers call the console, without a slash at the end.
    public_url: str
    books: People
    authority: Authority
    rendering: Rendering
    assets: Assets
    # None: there is no OpenID provider.
    provider: Provider | None
    clock: Callable[[], datetime]
    names: Names = field(default_factory=Names)

    def forget_setup_link(self) -> None:
        """Removes the file with the setup link, which works no more."""
        file = self.settings.setup_link_file
        if file is not None:
            with suppress(OSError):
                file.unlink()


@dataclass(frozen=True, slots=True)
class Route:
    """One page: `GET` shows it, `POST` is its form."""

    method: str
    # For instance `/workspaces/{workspace}/keys`.
    path: str
    page: Callable[[Visit], Awaitable[Answer]]
    needs: Needs
    # Whether the answer shows a secret, which any other page then takes away.
    shows_secret: bool = False


@dataclass(slots=True)
class Visit:
    """What a page knows about its request, and how it answers."""

    parts: Parts
    request: Request
    route: Route
    # The values of the named segments of the path.
    path: Mapping[str, str]
    # The browser's address.
    source: str
    # Whether the path can be opened, and isn't only the target of a form.
    readable: bool = False
    session: Session | None = None
    # The cookie that forms in this answer are bound to.
    cookie: str = ""
    # The role in the workspace of the path.
    role: Role | None = None
    fields: Fields = field(default_factory=Fields)
    _cookies: list[str] = field(default_factory=list)
    _acting: Acting | None = None

    @property
    def signed_in(self) -> Session:
        """The session, on pages that require one."""
        if self.session is None:
            raise LookupError("nobody is signed in")
        return self.session

    @property
    def me(self) -> Person:
        """Who is signed in, on pages that require it."""
        return self.signed_in.person

    @property
    def origin(self) -> Origin:
        """Who acts and from where, for the console's history."""
        return Origin(self.me.id, self.me.email, self.source)

    @property
    def now(self) -> datetime:
        """The time now."""
        return self.parts.clock()

    @property
    def workspace_id(self) -> str:
        """The workspace of the path."""
        return self.path["workspace"]

    @property
    def reading(self) -> bool:
        """Whether the request opens a page and sends no form."""
        return self.request.method != "POST"

    @property
    def may(self) -> frozenset[str]:
        """What pages offer to the visitor; the routes decide again whether it is allowed."""
        permissions = {
            permission
            for permission, role in _PERMISSIONS.items()
            if self.role is not None and self.role.covers(role)
        }
        if self.session is not None and self.session.person.administrator:
            permissions.add("workspaces.administer")
        return frozenset(permissions)

    @property
    def authority(self) -> Acting:
        """The authority, called for the person who is signed in."""
        if self._acting is None:
            person = None
            if self.session is not None:
                person = admin.Person(self.me.id, self.me.email)
            self._acting = self.parts.authority.acting_for(person, self.request.id)
        return self._acting

    def query(self, name: str, longest: int = _LONGEST_VALUE) -> str:
        """Returns a value of the query, stripped, in characters that databases and calls accept."""
        text = self.request.rel_url.query.get(name, "")
        return "".join(filter(str.isprintable, text)).strip()[:longest]

    def search(self, name: str) -> tuple[str, bool]:
        """Returns what is searched for, and whether it was a secret: then its beginning."""
        text = self.query(name, _LONGEST_SEARCH)
        beginning = without_secret(text)
        return beginning, beginning != text

    def set_cookie(self, name: str, value: str, seconds: int | None = None) -> None:
        """Sets a cookie with the answer."""
        self._cookies.append(security.set_cookie(name, value, seconds))

    def delete_cookie(self, name: str) -> None:
        """Deletes a cookie with the answer."""
        self.set_cookie(name, "", 0)

    def set_notice(self, notice: str) -> None:
        """Lets the next page show *notice*, by a cookie: a foreign link can't make it do so."""
        self.set_cookie(security.NOTICE, notice, _NOTICE_SECONDS)

    def redirect(self, to: str, notice: str = "") -> Answer:
        """Sends the browser to another page, which shows the notice of that name."""
        target = f"{to}?{urlencode({'done': notice})}" if notice else to
        if notice:
            self.set_notice(notice)
        return self._answer(303, {**security.PAGE_HEADERS, hdrs.LOCATION: target}, b"")

    def text(self, status: int, line: str) -> Answer:
        """Answers a machine with one line."""
        fields = {**security.PAGE_HEADERS, hdrs.CONTENT_TYPE: "text/plain; charset=utf-8"}
        return self._answer(status, fields, line.encode() + b"\n")

    def file(self, name: str, content_type: str, body: bytes) -> Answer:
        """Answers with a file that the browser saves under *name*."""
        fields = {
            **security.PAGE_HEADERS,
            hdrs.CONTENT_TYPE: content_type,
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
        }
        return self._answer(200, fields, body)

    async def page(self, template: str, status: int = 200, /, **context: Any) -> Answer:
        """Returns the page of *template*, with what all pages show."""
        return self.rendered(template, status, **{**await self._common(), **context})

    def rendered(self, template: str, status: int, /, **context: Any) -> Answer:
        """Returns the page of *template* from *context* alone."""
        html = self.parts.rendering.render(template, **context)
        return self._answer(status, security.PAGE_HEADERS, html.encode())

    def bare_context(self, *, forms: bool = True) -> dict[str, Any]:
        """Returns what all pages show that takes no call.

        Without *forms* a stranger's browser gets no cookie: it may have a form of another page open.
        """
        if forms and self.session is None and not self.cookie:
            self.cookie = security.new_visitor()
            self.set_cookie(security.VISITOR, self.cookie)
        settings = self.parts.settings
        return {
            "me": self.session.person if self.session is not None else None,
            "csrf": security.form_token(self.cookie),
            "proof": security.link_proof(self.cookie),
            "may": self.may,
            "notice": self._take_notice(),
            "request_id": self.request.id,
            "local_accounts": settings.local_accounts,
            "oidc_name": settings.oidc.name if settings.oidc is not None else None,
        }

    async def _common(self) -> dict[str, Any]:
        context = self.bare_context()
        if self.role is None:
            return context
        try:
            workspace, *others = await self._workspaces(self.role)
        except admin.UnavailableError:
            if self.reading:
                raise
            # A form is shown again even while the authority is away: nothing typed is lost.
            name, others = self.parts.names.get(self.workspace_id), []
            workspace = WorkspaceView(self.workspace_id, name, False, self.role.value)
        return {**context, "workspace": workspace, "other_workspaces": others}

    async def _workspaces(self, role: Role) -> list[WorkspaceView]:
        # The one of the path first, then the others that the person belongs to.
        memberships = await self.parts.books.memberships.of_person(self.me.id)
        roles = {self.workspace_id: role}
        for membership in memberships:
            roles.setdefault(membership.workspace_id, membership.role)
        views = [
            WorkspaceView(
                workspace.id, workspace.name, workspace.suspended, roles[workspace.id].value
            )
            for workspace in await self.authority.workspaces(list(roles)[: 1 + _MOST_WORKSPACES])
        ]
        if not views or views[0].id != self.workspace_id:
            raise NotFound("no such workspace")
        self.parts.names.remember(views[0].id, views[0].name)
        return views

    def notice(self) -> str:
        """Returns the name of the notice to show: the address and the cookie must agree."""
        name = self.request.rel_url.query.get("done", "")
        cookie = security.cookie(self.request.cookies, security.NOTICE)
        return name if name == cookie and name in NOTICES else ""

    def _take_notice(self) -> str | None:
        if security.cookie(self.request.cookies, security.NOTICE):
            self.delete_cookie(security.NOTICE)
        return NOTICES.get(self.notice())

    def _answer(self, status: int, fields: Mapping[str, str], body: bytes) -> Answer:
        headers = CIMultiDict(fields)
        for cookie in self._cookies:
            headers.add(hdrs.SET_COOKIE, cookie)
        return Answer(status, headers, body)
