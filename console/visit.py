"""One request to the console: who came, to which page, with what; and the answers it can be given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import hdrs
from multidict import CIMultiDict

from console import access, security
from console.authority import Acting
from console.forms import Fields, without_secret
from console.parts import Parts
from console.paths import url
from console.people import NotFound, Origin, Person, Role, Session
from console.views import WorkspaceView
from console.words import NOTICES
from keyauthority.base.http.answer import Answer
from keyauthority.base.http.request import Request
from keyauthority.client import admin

SWITCHER: Final = 20
"""How many other workspaces a page offers to go to."""
ASKED: Final = 512
"""How much is read of a parameter: more than a page's token has."""
_PASTED: Final = 8_192
"""How much is looked through for a secret: more than an address holds."""
_NOTICE_LASTS: Final = 30
"""Seconds in which a browser that is sent on opens the next page."""


@dataclass(frozen=True, slots=True)
class Route:
    """One page: `GET` shows it, `POST` is its form."""

    method: str
    # For instance `/workspaces/{workspace}/keys`.
    path: str
    page: Callable[[Visit], Awaitable[Answer]]
    needs: access.Needs
    # Whether its answer shows a secret, which any other page then takes away.
    shows_secret: bool = False


@dataclass(slots=True)
class Visit:
    """What a page knows about the request it answers, and how it answers."""

    parts: Parts
    request: Request
    route: Route
    # What the named segments of the path hold.
    path: Mapping[str, str]
    # The browser's address.
    source: str
    # Whether the path can be opened, and isn't only one that forms are sent to.
    readable: bool = False
    session: Session | None = None
    # The cookie that forms shown in this answer are bound to.
    cookie: str = ""
    # The role in the workspace of the path.
    role: Role | None = None
    fields: Fields = field(default_factory=Fields)
    _cookies: list[str] = field(default_factory=list)
    _acting: Acting | None = None

    @property
    def me(self) -> Person:
        """Who is signed in, on pages that ask for it."""
        return self.signed_in.person

    @property
    def signed_in(self) -> Session:
        """The sign-in, on pages that ask for it."""
        if self.session is None:
            raise LookupError("nobody is signed in")
        return self.session

    @property
    def by(self) -> Origin:
        """Who does it, for the console's own history."""
        return Origin(self.me.id, self.me.email, self.source)

    @property
    def now(self) -> datetime:
        """What time it is."""
        return self.parts.clock()

    @property
    def workspace_id(self) -> str:
        """The workspace of the path."""
        return self.path["workspace"]

    @property
    def reading(self) -> bool:
        """Whether a page was asked for, and no form sent."""
        return self.request.method != "POST"

    @property
    def authority(self) -> Acting:
        """The authority, called for whoever is signed in."""
        if self._acting is None:
            person = None
            if self.session is not None:
                person = admin.Person(self.me.id, self.me.email)
            self._acting = self.parts.authority.acting_for(person, self.request.id)
        return self._acting

    def asked(self, name: str, most: int = ASKED) -> str:
        """What stands behind the `?` by that name, stripped; no database and no call minds it."""
        text = self.request.rel_url.query.get(name, "")
        return "".join(filter(str.isprintable, text)).strip()[:most]

    def searched(self, name: str) -> tuple[str, bool]:
        """What is looked for by that name, and whether it was a secret, of which its begin is left."""
        asked = self.asked(name, _PASTED)
        begin = without_secret(asked)
        return begin, begin != asked

    def keep_cookie(self, name: str, value: str, seconds: int | None = None) -> None:
        """Has the browser keep a cookie."""
        self._cookies.append(security.set_cookie(name, value, seconds))

    def forget_cookie(self, name: str) -> None:
        """Has the browser forget a cookie."""
        self._cookies.append(security.set_cookie(name, "", 0))

    def keep_notice(self, done: str) -> None:
        """Lets the next page say what *done* names: nobody else's link makes it say so."""
        self.keep_cookie(security.NOTICE, done, _NOTICE_LASTS)

    def redirect(self, to: str, done: str = "") -> Answer:
        """Sends the browser on; *done* names what the next page says was done."""
        target = f"{to}?{urlencode({'done': done})}" if done else to
        if done:
            self.keep_notice(done)
        return self._answer(303, {**security.PAGE_HEADERS, hdrs.LOCATION: target}, b"")

    def text(self, status: int, line: str) -> Answer:
        """One line for a machine."""
        fields = {**security.PAGE_HEADERS, hdrs.CONTENT_TYPE: "text/plain; charset=utf-8"}
        return self._answer(status, fields, line.encode() + b"\n")

    async def page(self, template: str, status: int = 200, /, **context: Any) -> Answer:
        """The page of *template*, with what all pages have."""
        common = await self._common()
        return self.rendered(template, status, **{**common, **context})

    def rendered(self, template: str, status: int, /, **context: Any) -> Answer:
        """The page of *template* from *context* alone."""
        html = self.parts.rendering.render(template, **context)
        return self._answer(status, security.PAGE_HEADERS, html.encode())

    async def workspaces(self, role: Role) -> tuple[WorkspaceView, list[WorkspaceView]]:
        """The workspace of the path, in which the person has *role*, and where else they may go."""
        memberships = await self.parts.books.memberships.of_person(self.me.id)
        others = {
            one.workspace_id: one.role
            for one in memberships
            if one.workspace_id != self.workspace_id
        }
        roles = {self.workspace_id: role, **others}
        views = [
            workspace_view(one.id, one.name, roles[one.id], suspended=one.suspended)
            for one in await self.authority.workspaces(list(roles)[: 1 + SWITCHER])
        ]
        if not views or views[0].id != self.workspace_id:
            raise NotFound("no such workspace")
        self.parts.names.remember(views[0].id, views[0].name)
        return views[0], views[1:]

    def bare_context(self, *, forms: bool = True) -> dict[str, Any]:
        """What all pages have and no call is needed for.

        Without *forms* a stranger's browser is given nothing to remember: it might be in the midst
        of a form of another page.
        """
        if forms and self.session is None and not self.cookie:
            self.cookie = security.new_visitor()
            self.keep_cookie(security.VISITOR, self.cookie)
        person = self.session.person if self.session is not None else None
        settings = self.parts.settings
        return {
            "me": person,
            "session": self.session,
            "csrf": security.form_token(self.cookie),
            "proof": security.link_proof(self.cookie),
            "workspace": None,
            "other_workspaces": [],
            "section": "",
            "may": access.deeds(
                self.role, administrator=person is not None and person.administrator
            ),
            "notice": self._notice(),
            "request_id": self.request.id,
            "local_accounts": settings.local_accounts,
            "oidc_name": settings.oidc.name if settings.oidc is not None else None,
        }

    async def _common(self) -> dict[str, Any]:
        common = self.bare_context()
        if self.role is None:
            return common
        try:
            common["workspace"], common["other_workspaces"] = await self.workspaces(self.role)
        except admin.UnavailableError:
            if self.reading:
                raise
            # A form is shown again whatever the authority is doing: nothing typed is lost.
            name = self.parts.names.get(self.workspace_id, self.workspace_id)
            common["workspace"] = workspace_view(self.workspace_id, name, self.role)
        return common

    def announced(self) -> str:
        """The name of the notice that this page is to say; empty if only its address names one."""
        done = self.request.rel_url.query.get("done", "")
        kept = security.cookie(self.request.cookies, security.NOTICE)
        return done if done == kept and done in NOTICES else ""

    def _notice(self) -> str | None:
        if security.cookie(self.request.cookies, security.NOTICE):
            self.forget_cookie(security.NOTICE)
        return NOTICES.get(self.announced())

    def _answer(self, status: int, fields: Mapping[str, str], body: bytes) -> Answer:
        sent = CIMultiDict(fields)
        for cookie in self._cookies:
            sent.add(hdrs.SET_COOKIE, cookie)
        return Answer(status, sent, body)


def workspace_view(
    workspace_id: str, name: str, role: Role, *, suspended: bool = False
) -> WorkspaceView:
    """A workspace as pages show it to somebody with *role* in it."""
    href = url("keys", workspace=workspace_id)
    return WorkspaceView(workspace_id, name, suspended, role.value, href)
