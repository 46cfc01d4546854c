"""Who may open what: every page, every kind of visitor, own, foreign and missing workspaces."""

from __future__ import annotations

import http.client
import secrets
from urllib.parse import urlencode

import pytest

from console import security
from console.paths import url
from console.people import Role
from console.routes import ROUTES
from console.security import SESSION, VISITOR
from console.visit import Needs, Route
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor

ROLE_OF = {"owner": Role.OWNER, "member": Role.MEMBER, "viewer": Role.VIEWER}
VISITORS = ("signed out", "stranger", "administrator", *ROLE_OF)
LEAST = {Needs.OWNER: Role.OWNER, Needs.MEMBER: Role.MEMBER, Needs.VIEWER: Role.VIEWER}

MISSING = "ws_0123456789ABCDEF"


def expected(route: Route, visitor: str, workspace: str) -> str:
    """What the plan says of the cell."""
    needs = route.needs
    if needs is Needs.NOTHING:
        # A link that is none is not there, and neither is a provider where there is none: for
        # everybody alike.
        nothing = "{token}" in route.path or "oidc" in route.path
        return "not found" if nothing else "open"
    if route.path.endswith("/members/{person}/remove"):
        # Everybody may leave, but only owners remove somebody else.
        needs = Needs.OWNER
    if visitor == "signed out":
        return "sign in"
    if needs is Needs.PERSON:
        return "open"
    if needs is Needs.ADMINISTRATOR:
        return "open" if visitor == "administrator" else "not found"
    if workspace != "own" or visitor not in ROLE_OF:
        return "not found"
    order = [Role.VIEWER, Role.MEMBER, Role.OWNER]
    enough = order.index(ROLE_OF[visitor]) >= order.index(LEAST[needs])
    return "open" if enough else "forbidden"


UNFILLED = {
    # No password was typed, and after some of these nobody is asked for one any more.
    "/sign-in": {401, 429},
    "/workspaces/{workspace}/keys/new": {422},
    "/workspaces/{workspace}/keys/{key}/edit": {422},
    "/workspaces/{workspace}/keys/{key}/rotate": {422},
    "/workspaces/{workspace}/keys/{key}/revoke": {422},
    "/workspaces/{workspace}/invitations": {422},
    "/workspaces/{workspace}/members/{person}/role": {422},
    "/account": {422},
    # These people have none.
    "/account/password": {409},
    "/administration/workspaces": {422},
    "/administration/workspaces/{workspace}/top-up": {422},
    "/administration/workspaces/{workspace}/adjust": {422},
    "/administration/people/{person}/disabled": {422},
}
"""What a form says that is open, but was sent empty; all others are taken as they are."""


def outcome(route: Route, shown: Shown) -> str:
    if shown.status == 303 and shown.location.startswith("/sign-in?next="):
        return "sign in"
    if route.method == "POST" and route.path in UNFILLED:
        named = dict.fromkeys(UNFILLED[route.path], "open")
    else:
        named = {200: "open", 303: "open"}
    named |= {403: "forbidden", 404: "not found"}
    return named.get(shown.status, f"status {shown.status}")


class Stage:
    """Who and what the paths name, made once where nothing uses it up."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.operator = cast.console.edge.operator

    async def browser(self, visitor: str) -> Visitor:
        """A browser of that kind of visitor, freshly signed in: an open page may end that."""
        if visitor == "signed out":
            browser = self.cast.console.visitor()
            browser.cookies[VISITOR] = "v" * 43
            return browser
        role = ROLE_OF.get(visitor)
        return await self.cast.visitor(role, administrator=visitor == "administrator")

    async def path(self, route: Route, browser: Visitor, workspace: str) -> str:
        """The route's path with what it names, each thing fresh."""
        books, names = self.cast.books, {"token": "no-such-link"}
        where = names["workspace"] = self._workspace(route, workspace)
        if "{key}" in route.path:
            names["key"] = "key_0123456789ABCDEF"
            if workspace != "missing":
                names["key"] = self.operator.issue(where)[0].id
        if "{person}" in route.path:
            person = await self.cast.person(Role.VIEWER)
            names["person"] = person.id
            if workspace == "foreign":
                await books.memberships.add(NOBODY, where, person.id, Role.VIEWER)
        if "{invitation}" in route.path:
            guest = f"{secrets.token_hex(4)}@example.com"
            names["invitation"] = (await books.links.invite(NOBODY, where, guest, Role.VIEWER))[
                0
            ].id
        if "{session}" in route.path:
            names["session"] = await self._own_session(browser)
        return route.path.format_map(names)

    def _workspace(self, route: Route, workspace: str) -> str:
        if workspace == "missing":
            return MISSING
        if workspace == "foreign" or route.needs is Needs.ADMINISTRATOR:
            return self.operator.workspace("foreign")
        return self.cast.workspace

    async def _own_session(self, browser: Visitor) -> str:
        token = browser.cookies.get(SESSION)
        session = await self.cast.books.sessions.find(token) if token else None
        return session.id if session is not None else "session_0000000000000000"


def send(browser: Visitor, route: Route, path: str) -> Shown:
    if route.method == "GET":
        return browser.get(path)
    cookie = browser.cookies.get(SESSION) or browser.cookies[VISITOR]
    return browser.post(path, {"csrf": security.form_token(cookie), "administrator": "yes"})


@pytest.mark.parametrize("route", ROUTES, ids=[f"{one.method} {one.path}" for one in ROUTES])
async def test_every_cell(route: Route, cast: Cast) -> None:
    """A page opens for who may, asks strangers to sign in, and is not there for anybody else."""
    stage, wrong = Stage(cast), []
    for visitor in VISITORS:
        browser = await stage.browser(visitor)
        for workspace in _workspaces(route):
            path = await stage.path(route, browser, workspace)
            found = outcome(route, send(browser, route, path))
            wanted = expected(route, visitor, workspace)
            if found != wanted:
                wrong.append((visitor, workspace, found, wanted))
    assert not wrong


def _workspaces(route: Route) -> list[str]:
    # The one that is opened last may be used up by it.
    if "{workspace}" not in route.path or route.needs is Needs.ADMINISTRATOR:
        return ["own"]
    return ["foreign", "missing", "own"]


@pytest.mark.parametrize("page", ["", "/edit", "/rotate", "/revoke"])
async def test_a_key_of_another_workspace_is_not_found_in_ones_own(page: str, cast: Cast) -> None:
    """The id of a foreign key opens nothing under the path of a workspace that is one's own."""
    owner = await cast.visitor(Role.OWNER)
    foreign = cast.console.edge.operator.workspace("foreign")
    key, _ = cast.console.edge.operator.issue(foreign)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}{page}"
    assert owner.get(path).status == 404
    if page in ("/rotate", "/revoke", "/edit"):
        fields = {
            "csrf": security.form_token(owner.cookies[SESSION]),
            "reason": "unused",
            "note": "mine now",
            "overlap": "0",
            "name": "mine",
            "expires": "never",
            "request_id": "r" * 20,
        }
        assert owner.post(path, fields).status == 404
    assert not cast.console.edge.operator.is_revoked(key.id)


@pytest.mark.parametrize("page", ["pause", "resume"])
async def test_a_foreign_key_is_neither_paused_nor_resumed(page: str, cast: Cast) -> None:
    """The same for what has no page of its own."""
    owner = await cast.visitor(Role.OWNER)
    foreign = cast.console.edge.operator.workspace("foreign")
    key, _ = cast.console.edge.operator.issue(foreign)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/{page}"
    assert owner.post(path, {"csrf": security.form_token(owner.cookies[SESSION])}).status == 404


async def test_people_and_invitations_of_others_are_not_found(cast: Cast) -> None:
    """An owner can't touch members, invitations and sign-ins by the ids of another workspace."""
    owner = await cast.visitor(Role.OWNER)
    foreign = cast.console.edge.operator.workspace("foreign")
    stranger = await cast.person()
    await cast.books.memberships.add(NOBODY, foreign, stranger.id, Role.OWNER)
    invitation, _ = await cast.books.links.invite(NOBODY, foreign, "x@example.com", Role.VIEWER)
    session, _ = await cast.books.sessions.begin(stranger.id, "", "", "oidc")
    token = {"csrf": security.form_token(owner.cookies[SESSION])}
    mine = f"/workspaces/{cast.workspace}"
    for path in (
        f"{mine}/members/{stranger.id}/role",
        f"{mine}/members/{stranger.id}/remove",
        f"{mine}/invitations/{invitation.id}/withdraw",
        f"/account/sessions/{session.id}/end",
    ):
        assert owner.post(path, {**token, "role": "viewer"}).status == 404, path
    assert await cast.books.memberships.role(foreign, stranger.id) is Role.OWNER
    assert await cast.books.links.of_workspace(foreign) == [invitation]
    assert len(await cast.books.sessions.of_person(stranger.id)) == 1


async def test_a_role_is_looked_up_at_every_request(cast: Cast) -> None:
    """Who was an owner a moment ago and is none any more can do nothing more."""
    person = await cast.person(Role.OWNER)
    await cast.person(Role.OWNER)
    browser = await cast.signed_in(person)
    path = f"/workspaces/{cast.workspace}/keys/new"
    assert browser.get(path).status == 200
    await cast.books.memberships.set_role(NOBODY, cast.workspace, person.id, Role.VIEWER)
    assert browser.get(path).status == 403
    await cast.books.memberships.remove(NOBODY, cast.workspace, person.id)
    assert browser.get(path).status == 404


def test_every_page_of_a_workspace_asks_for_a_role_in_it() -> None:
    """No route can be added under a workspace, or under administration, that forgets to ask."""
    for route in ROUTES:
        if route.path.startswith("/workspaces/{"):
            assert route.needs in LEAST, route.path
        if route.path.startswith("/administration"):
            assert route.needs is Needs.ADMINISTRATOR, route.path


async def test_a_form_that_takes_its_time_has_the_rights_of_its_end(cast: Cast) -> None:
    """Whoever keeps the last byte back until their right is gone does nothing with it."""
    administrator = await cast.person(administrator=True)
    dismissed = await cast.signed_in(administrator)
    accomplice = await cast.person()
    path = url("person_administrator", person=accomplice.id)
    form = dict(dismissed.get(url("administration_people")).form(path).fields)
    body = urlencode({**form, "administrator": "yes"})
    head = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
        "Cookie": f"{SESSION}={dismissed.cookies[SESSION]}",
        "Content-Length": str(len(body)),
    }
    connection = http.client.HTTPConnection("127.0.0.1", dismissed.port, timeout=20)
    connection.putrequest("POST", path)
    for name, value in head.items():
        connection.putheader(name, value)
    connection.endheaders(body[:-1].encode())
    # Answered after the head was read.
    assert dismissed.get("/healthz").status == 200
    await cast.books.accounts.set_administrator(NOBODY, administrator.id, False)

    connection.send(body[-1:].encode())

    assert connection.getresponse().status == 404
    connection.close()
    made = await cast.books.accounts.get(accomplice.id)
    assert made is not None
    assert not made.administrator
