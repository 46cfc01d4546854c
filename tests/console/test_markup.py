"""What people type is text on every page: in no field, name or address does markup come to life."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final
from urllib.parse import quote, urlencode

import pytest

from console import security
from console.paths import PATHS, url
from console.people import Origin, Person, Role
from console.routes import ROUTES
from console.security import SESSION, VISITOR
from console.visit import Route
from keyauthority.v1 import key_service_pb2 as keys_v1
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from tests.console.keys_in_it import taken_over
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor

SCRIPT: Final = "<script>alert(1)</script>"
IMAGE: Final = '"><img src=x onerror=alert(1)>'
QUOTE: Final = "' autofocus onfocus=alert(1) x='</title>"
BRACES: Final = "{{ 7919*7907 }}{% raw %}javascript:alert(1)//"
PAYLOADS: Final = (SCRIPT, IMAGE, QUOTE, BRACES)
ALL: Final = f"'{IMAGE}{SCRIPT}{BRACES[:12]}"
"""Something of each, for what is tried on every page."""

PARAMETERS: Final = (
    *("q", "state", "sort", "flag", "page", "tab", "person", "action", "subject"),
    *("from", "to", "before", "after", "name", "scopes", "next", "done", "error", "code", "iss"),
)
FIELDS: Final = (
    *(
        "name",
        "access",
        "scope",
        "scopes",
        "expires",
        "expire_date",
        "etag",
        "reason",
        "note",
        "overlap",
        "email",
    ),
    *("role", "password", "current_password", "new_password", "time_zone", "request_id"),
    *("revoke", "administrator", "next"),
)
PAGES: Final = [route for route in ROUTES if route.method == "GET"]
FORMS: Final = [route for route in ROUTES if route.method == "POST"]


class Living(HTMLParser):
    """What of a page a browser would run, and all that it shows."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.alive: list[str] = []
        self.shown: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_script = tag == "script"
        ours = given.get("src", "").startswith("/static/console.")
        if tag in ("img", "iframe", "object", "embed", "base", "style") or (
            self._in_script and not ours
        ):
            self.alive.append(tag)
        self.alive += [f"{tag} {name}" for name in given if name == "style" or name[:2] == "on"]
        for name in ("href", "src", "action", "formaction"):
            if name in given and not given[name].startswith(("/", "#", "?", "http://127.0.0.1")):
                self.alive.append(f"{tag} {name}={given[name]}")
        self.shown += [value for name, value in given.items() if name not in ("href", "action")]

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.alive.append(f"script {data}")
        self._in_script = False
        self.shown.append(data)


def shows(shown: Shown, *texts: str) -> None:
    """Everything in the page is dead, and the *texts* are there to be read."""
    living = Living(shown.html)
    assert living.alive == [], shown.path
    everything = "\n".join(living.shown)
    assert "62615533" not in everything
    for text in texts:
        assert text in everything, (shown.path, text)


class Stage:
    """A workspace in which everything that can have a name is called *payload*."""

    def __init__(self, cast: Cast, payload: str) -> None:
        self.cast, self.payload = cast, payload
        self.operator = cast.console.edge.operator
        self.workspace = self.operator.workspace(payload)
        self.other = self.operator.workspace(f"{payload} too")

    async def owner(self) -> Person:
        person = await self.cast.person(administrator=True)
        await self.cast.books.accounts.update(NOBODY, person.id, name=self.payload)
        for place in (self.workspace, self.other):
            await self.cast.books.memberships.add(NOBODY, place, person.id, Role.OWNER)
        return person

    async def guest(self) -> str:
        """The id of an open invitation by and for people with markup in their addresses."""
        mark = "".join(self.payload.split()) + "@example.com"
        by = Origin("", mark.replace("@", "by@"), "")
        found, _ = await self.cast.books.links.invite(by, self.workspace, mark, Role.VIEWER)
        return found.id

    def key(self) -> str:
        """The id of a key."""
        labels = {self.payload[:63]: self.payload[:63]}
        edge = self.cast.console.edge
        return taken_over(edge, self.workspace, [self.payload], labels=labels)[0].id

    def revoked_key(self) -> str:
        """The id of a key that was revoked with a note."""
        key_id = self.key()
        request = keys_v1.RevokeKeyRequest(key_id=key_id, note=f"{self.payload}\n{self.payload}")
        stub = KeyServiceStub(self.operator.channel)
        stub.RevokeKey(request, metadata=self.operator.metadata, timeout=10)
        return key_id

    def path(self, route_path: str, **names: str) -> str:
        return route_path.format_map(
            {"workspace": self.workspace, "token": "no-such-link", **names}
        )


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_what_is_kept_is_shown_as_text(payload: str, cast: Cast) -> None:
    """Names of workspaces, people and keys, labels, notes, addresses: on each page that has them."""
    stage = Stage(cast, payload)
    owner = await stage.owner()
    browser = await cast.signed_in(owner)
    key_id, revoked = stage.key(), stage.revoked_key()
    await stage.guest()
    guest = "".join(payload.split()) + "@example.com"
    here, key = (
        url("keys", workspace=stage.workspace),
        url("key", workspace=stage.workspace, key=key_id),
    )
    gone = url("key", workspace=stage.workspace, key=revoked)
    shows(browser.get(here), payload, f"{payload} too")
    shows(browser.get(key), payload, f"{payload[:63]}={payload[:63]}")
    shows(browser.get(gone), f"“{payload}\n{payload}”")
    for page in ("/edit", "/rotate", "/revoke"):
        shows(browser.get(key + page), payload)
    activity = url("activity", workspace=stage.workspace)
    shows(browser.get(activity), payload, f"{payload}\n{payload}")
    shows(browser.get(activity + "?tab=people"), guest)
    shows(browser.get(url("members", workspace=stage.workspace)), payload, guest)
    leave = url("member_remove", workspace=stage.workspace, person=owner.id)
    shows(browser.get(leave), payload)
    for name in ("workspaces", "account", "administration", "administration_people"):
        shows(browser.get(url(name)), payload)
    shows(browser.get(url("workspace_suspend", workspace=stage.workspace)), payload)
    replacement = url("key_new", workspace=stage.workspace) + "?" + urlencode({"name": payload})
    shows(browser.get(replacement), payload)


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_pages_after_a_form_show_text(payload: str, cast: Cast) -> None:
    """What was made, rotated, revoked, invited or suspended is named, and what was typed is text."""
    stage = Stage(cast, payload)
    browser = await cast.signed_in(await stage.owner())
    place = stage.workspace
    new = url("key_new", workspace=place)
    made = browser.submit(browser.get(new), new, name=payload)
    shows(made, payload)
    [stored] = [one.action for one in made.read.forms if one.action.endswith("/stored")]
    key = stored.removesuffix("/stored")
    shows(browser.submit(browser.get(f"{key}/rotate"), f"{key}/rotate", overlap="1h"), payload)
    note = {"reason": "compromised", "note": payload}
    shows(browser.submit(browser.get(f"{key}/revoke"), f"{key}/revoke", **note), payload)
    shows(browser.get(key), f"“{payload.strip()}”")
    guest = "".join(payload.split()) + "@example.com"
    invite, members = url("invitations", workspace=place), url("members", workspace=place)
    shows(browser.submit(browser.get(members), invite, email=guest, role="viewer"), guest, payload)
    person = await cast.person()
    await cast.books.accounts.update(NOBODY, person.id, name=payload)
    recovery = url("person_recovery", person=person.id)
    shows(browser.submit(browser.get(url("administration_people")), recovery), payload)
    await cast.books.memberships.add(NOBODY, place, person.id, Role.VIEWER)
    remove = url("member_remove", workspace=place, person=person.id)
    shows(browser.submit(browser.get(remove), remove), payload)
    suspend = url("workspace_suspend", workspace=place)
    shows(browser.submit(browser.get(suspend), suspend), payload)
    shows(browser.get(url("keys", workspace=place)), payload, "This workspace is suspended")
    profile = browser.submit(browser.get("/account"), "/account", name=f"{payload} again")
    shows(browser.follow(profile), f"{payload} again")


async def test_an_invitation_names_as_text_who_and_where(cast: Cast) -> None:
    """The page for somebody who isn't signed in yet."""
    for payload in PAYLOADS:
        place = cast.console.edge.operator.workspace(payload)
        mark = "".join(payload.split()) + "@example.com"
        by = Origin("", f"{payload}@example.com", "")
        _, token = await cast.books.links.invite(by, place, mark, Role.VIEWER)
        path = url("invitation", token=token.reveal())
        visitor = cast.console.visitor()
        page = visitor.get(path)
        shows(page, payload, mark, f"{payload}@example.com")
        shown = visitor.submit(page, path, name=payload, password="short")
        assert shown.status == 422
        shows(shown, payload)


@pytest.mark.parametrize("route", PAGES, ids=[route.path for route in PAGES])
async def test_no_parameter_comes_to_life(route: Route, cast: Cast) -> None:
    """Every page with markup in every parameter that any page reads, and in an unknown one."""
    stage = Stage(cast, "Acme")
    owner = await stage.owner()
    browser = await cast.signed_in(owner)
    path = stage.path(route.path, key=stage.key(), person=owner.id, invitation="i", session="s")
    query = dict.fromkeys((*PARAMETERS, ALL), ALL)
    shown = browser.get(f"{path}?{urlencode(query)}")
    assert shown.status < 500
    shows(shown)


@pytest.mark.parametrize("route", FORMS, ids=[route.path for route in FORMS])
async def test_no_field_comes_to_life(route: Route, cast: Cast) -> None:
    """Every form with markup in every field that any form has, and with the choices right."""
    stage = Stage(cast, "Acme")
    owner = await stage.owner()
    names = {"key": stage.key(), "person": owner.id, "invitation": await stage.guest()}
    path = stage.path(route.path, **names, session="s")
    for right in ({}, {"reason": "unused", "expires": "date", "role": "viewer", "overlap": "0"}):
        browser = await cast.signed_in(owner)
        fields = dict.fromkeys((*FIELDS, ALL), ALL) | right
        shown = browser.post(
            path, {**fields, "csrf": security.form_token(browser.cookies[SESSION])}
        )
        assert shown.status < 500, shown.text
        shows(shown)


def typed(cast: Cast, path: str, **fields: str) -> Shown:
    """The answer to a form of somebody who isn't signed in."""
    visitor: Visitor = cast.console.visitor()
    visitor.get("/sign-in")
    token = security.form_token(visitor.cookies[VISITOR])
    return visitor.post(path, {"csrf": token, **fields})


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_signing_in_shows_text(payload: str, cast: Cast) -> None:
    """The address that was typed stands in the field again, and nothing runs."""
    shown = typed(cast, "/sign-in", email=payload, password=payload, next=payload)
    shows(shown, payload)
    shows(cast.console.visitor().get("/sign-in?" + urlencode({"next": payload, "done": payload})))


async def test_addresses_and_headers_show_text(cast: Cast) -> None:
    """A path that is none, and what the browser says of itself and of the request."""
    browser = await cast.visitor(Role.OWNER)
    for path in PATHS.values():
        place = path.partition("{")[0] + quote(ALL, safe="")
        for shown in (browser.get(place), browser.get(f"{place}/{quote(ALL)}")):
            assert shown.status < 500
            shows(shown)
    shows(browser.get("/account", {"x-request-id": ALL}))
    owner = await cast.person(Role.OWNER)
    _, token = await cast.books.sessions.begin(owner.id, ALL, ALL, "oidc")
    browser.cookies[SESSION] = token.reveal()
    shows(browser.get("/account"), ALL)
