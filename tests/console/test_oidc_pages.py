"""Signing in at a real OpenID provider, through the console's own pages."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from argon2 import PasswordHasher

from console import security
from console.people import Identity, Password, People, Person, Role, open_people
from console.security import SESSION, SIGN_IN, VISITOR
from keyauthority.base.process.files import write_private
from tests.console.living import PASSWORD, Console
from tests.console.oidc.provider_process import CLIENT_ID, go, provider_running
from tests.console.people_in_it import NOBODY
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge
from tests.node import node_with_packages
from tests.ports import free_port

CLIENT_SECRET = "canary+of/a=client%secret:"
CLIENT = {"client_secret": CLIENT_SECRET}
CALLBACK = "/sign-in/oidc/callback"
WORKSPACE = "ws_0000000000000000"
NAMES = (
    "owner",
    "known",
    "guest",
    "other",
    "stranger",
    "again",
    "mover",
    "late",
    "victim",
    "heir",
    "barred",
)
ACCOUNTS: dict[str, dict[str, Any]] = {
    name: {"email": f"{name}@example.com", "email_verified": True, "name": name.title()}
    for name in NAMES
}
ACCOUNTS |= {
    "unverified": {"email": "unverified@example.com", "email_verified": False, "name": "Una"},
    "odd": {"email": "odd@example.com", "email_verified": True, "name": "o" * 150},
    "nameless": {"email": "nameless@example.com", "email_verified": True},
    "nowhere": {"email_verified": True, "name": "Nora"},
    "crooked": {"email": "crooked at example.com", "email_verified": True, "name": "Cora"},
}


@dataclass
class World:
    """A console, and the provider its people may sign in at."""

    console: Console
    issuer: str

    @property
    def redirect_uri(self) -> str:
        return self.console.url + CALLBACK

    def leave(self, visitor: Visitor, begin: str = "/sign-in/oidc") -> Shown:
        """Presses the button that leads to *begin*, in a page that was shown to the browser."""
        found = re.search(r"[?]proof=([0-9a-f]{64})", visitor.get("/sign-in").html)
        assert found is not None
        return visitor.get(f"{begin}{'&' if '?' in begin else '?'}proof={found[1]}")

    async def back(self, visitor: Visitor, form: str, begin: str = "/sign-in/oidc") -> str:
        """Goes to the provider and through it; the path that it sends the browser back to."""
        gone = self.leave(visitor, begin)
        assert gone.location.startswith(self.issuer), (gone.status, gone.text)
        typed = {"cancel": "yes"} if form == "cancel" else {"account": form}
        query = await go(gone.location, typed, self.redirect_uri)
        return f"{CALLBACK}?{urlencode(query)}"

    async def sign_in(self, visitor: Visitor, form: str, begin: str = "/sign-in/oidc") -> Shown:
        """The console's answer to who comes back."""
        path = await self.back(visitor, form, begin)
        return visitor.get(path, {"Sec-Fetch-Site": "cross-site"})


def offers_the_provider(shown: Shown, after: str) -> bool:
    """Whether the page has the button, which comes back to *after*."""
    return bool(
        re.search(rf'href="/sign-in/oidc[?]proof=[0-9a-f]{{64}}&amp;next={after}"', shown.html)
    )


@contextmanager
def world_in(folder: Path, edge: Edge, port: int, issuer: str, *flags: str) -> Iterator[World]:
    folder.mkdir(exist_ok=True)
    secret = folder / "client.secret"
    write_private(secret, CLIENT_SECRET + "\n")
    usual = ["--oidc-issuer", issuer, "--oidc-client-id", CLIENT_ID, "--oidc-name", "Example"]
    usual += ["--oidc-client-secret-file", str(secret), "--listen", f"127.0.0.1:{port}"]
    console = Console(edge, folder, *usual, *flags)
    try:
        yield World(console, issuer)
    finally:
        console.stop()


@contextmanager
def complete_world(folder: Path, edge: Edge, *flags: str) -> Iterator[World]:
    """A console and a running provider."""
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{port}{CALLBACK}"
    with ExitStack() as stack:
        running = stack.enter_context(
            provider_running(node_with_packages(), redirect_uri, client=CLIENT, accounts=ACCOUNTS)
        )
        issuer = running.settings.issuer
        yield stack.enter_context(world_in(folder, edge, port, issuer, *flags))


@pytest.fixture(scope="module")
def world(edge: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """People may have passwords here too."""
    with complete_world(tmp_path_factory.mktemp("both"), edge) as world:
        yield world


@pytest.fixture(scope="module")
def only(edge: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nobody has a password here."""
    with complete_world(tmp_path_factory.mktemp("only"), edge, "--local-accounts", "off") as world:
        yield world


@pytest.fixture
async def people(world: World) -> AsyncIterator[People]:
    """The books of `world`."""
    async with cheaply(world) as books:
        yield books


def cheaply(world: World) -> Any:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return open_people(world.console.database, hasher=cheap)


async def invited(books: People, email: str, workspace: str = WORKSPACE) -> str:
    """The token of a new invitation."""
    _, token = await books.links.invite(NOBODY, workspace, email, Role.MEMBER)
    return token.reveal()


async def account(books: People, email: str) -> Person:
    """Somebody with `PASSWORD`."""
    token = await invited(books, email, f"ws_{secrets.token_hex(8)}")
    return await books.links.accept_invitation(token, "Known", Password(PASSWORD), "")


def signed_in_as(visitor: Visitor) -> str | None:
    shown = visitor.get("/account")
    return shown.text.partition("You are ")[2].split()[0] if shown.status == 200 else None


async def test_the_first_owner_without_any_password(only: World) -> None:
    """Where there are no passwords the set-up link is taken up at the provider, and no other way."""
    console = only.console
    path, visitor = console.setup_path, console.visitor()
    page = visitor.get(path)
    assert "password" not in page.html
    assert "Continue with Example" in page.text
    typed = {"email": "a@example.com", "name": "A", "password": PASSWORD}
    token = {"csrf": security.form_token(visitor.cookies[VISITOR])}
    refused = visitor.post(path, {**token, **typed})
    assert (refused.status, SESSION in visitor.cookies) == (403, False)
    assert "Passwords are switched off here." in refused.text
    begin = f"/links/{path.split('/')[2]}/sign-in"
    assert f'href="{begin}?proof=' in page.html
    done = await only.sign_in(visitor, "owner", begin)
    assert visitor.follow(done).status == 200
    assert visitor.get("/administration").status == 200
    assert signed_in_as(visitor) == "owner@example.com"
    assert not (console.folder / "console.link").exists()
    assert visitor.get(begin).status == 404


async def test_without_passwords(only: World) -> None:
    """No form asks for a password, and none that is sent all the same is taken."""
    visitor = only.console.visitor()
    page = visitor.get("/sign-in")
    assert "Sign in with Example" in page.text
    assert 'type="password"' not in page.html
    visitor.cookies[VISITOR] = "v" * 43
    typed = {"csrf": security.form_token("v" * 43), "name": "N", "password": PASSWORD}
    refused = visitor.post("/sign-in", {**typed, "email": "owner@example.com"})
    assert (refused.status, SESSION in visitor.cookies) == (403, False)
    assert "Passwords are switched off here." in refused.text
    async with cheaply(only) as books:
        path = f"/invitations/{await invited(books, 'guest@example.com')}"
        person = await account(books, "known@example.com")
        recovery = (await books.links.new_recovery(NOBODY, person.id)).reveal()
        _, session = await books.sessions.begin(person.id, "", "", "oidc")
    assert 'type="password"' not in visitor.get(path).html
    refused = visitor.post(path, typed)
    assert (refused.status, SESSION in visitor.cookies) == (403, False)
    assert visitor.get(path).status == 200
    assert visitor.get(f"/recovery/{recovery}").status == 404
    assert visitor.post(f"/recovery/{recovery}", typed).status == 404
    visitor.cookies = {SESSION: session.reveal()}
    typed = {"csrf": security.form_token(session.reveal()), "current_password": PASSWORD}
    changed = visitor.post("/account/password", {**typed, "new_password": "other words again"})
    assert changed.status == 409


async def test_an_account_is_found_by_its_verified_address(world: World, people: People) -> None:
    """The first sign-in finds the account by the address, later ones by the provider's own name."""
    person = await account(people, "known@example.com")
    for _ in range(2):
        visitor = world.console.visitor()
        done = await world.sign_in(visitor, "known")
        assert done.location == "/welcome?next=%2F"
        assert signed_in_as(visitor) == person.email
    found = await people.accounts.by_identity(world.issuer, "known")
    assert found is not None
    assert found.id == person.id
    assert "· Example ·" in visitor.get("/account").text


async def test_an_account_that_somebody_else_made_for_the_address(
    world: World, people: People
) -> None:
    """Whoever set a password for it is out once the provider says whose the address is."""
    person = await account(people, "victim@example.com")
    intruder = world.console.sign_in(person.email)
    recovery = (await people.links.new_recovery(NOBODY, person.id)).reveal()
    visitor = world.console.visitor()
    await world.sign_in(visitor, "victim")
    assert signed_in_as(visitor) == person.email
    assert 'type="password"' not in visitor.get("/account").html
    assert signed_in_as(intruder) is None
    assert visitor.get(f"/recovery/{recovery}").status == 404
    refused = intruder.submit(
        intruder.get("/sign-in"), "/sign-in", email=person.email, password=PASSWORD
    )
    assert refused.status == 401


async def test_who_is_disabled_reads_so(world: World, people: People) -> None:
    """Whether the provider's account is known already or would be linked by its address."""
    person = await account(people, "barred@example.com")
    await people.accounts.set_disabled(NOBODY, person.id, True)
    visitor = world.console.visitor()
    for _ in range(2):
        refused = await world.sign_in(visitor, "barred")
        assert refused.status == 403
        assert "Your account here is disabled. Ask an administrator." in refused.text
        assert signed_in_as(visitor) is None
        if await people.accounts.by_identity(world.issuer, "barred") is None:
            await people.accounts.link_identity(NOBODY, person.id, world.issuer, "barred")
    await people.accounts.set_disabled(NOBODY, person.id, False)
    await world.sign_in(visitor, "barred")
    assert signed_in_as(visitor) == person.email


async def test_an_address_that_belonged_to_somebody_else_there(
    world: World, people: People
) -> None:
    """Who was given a former colleague's address isn't given their account."""
    person = await account(people, "heir@example.com")
    await people.accounts.link_identity(NOBODY, person.id, world.issuer, "who had it before")
    visitor = world.console.visitor()
    refused = await world.sign_in(visitor, "heir")
    assert refused.status == 403
    assert "This address belonged to another sign-in at the provider" in refused.text
    assert signed_in_as(visitor) is None
    assert await people.accounts.by_identity(world.issuer, "heir") is None


async def test_an_invitation_is_accepted(world: World, people: People) -> None:
    """Somebody new comes in by the invitation and the provider, and needs no password for it."""
    workspace = world.console.edge.operator.workspace("Acme")
    token = await invited(people, "Guest@example.com", workspace)
    visitor = world.console.visitor()
    begin = f"/links/{token}/sign-in"
    assert f'href="{begin}?proof=' in visitor.get(f"/invitations/{token}").html
    done = await world.sign_in(visitor, "guest", begin)
    assert visitor.follow(done).path == f"/workspaces/{workspace}/keys"
    person = await people.accounts.by_email("guest@example.com")
    assert person is not None
    assert (person.name, person.has_password) == ("Guest", False)
    assert await people.memberships.role(workspace, person.id) is Role.MEMBER
    assert visitor.get(begin).status == 404


async def test_an_invitation_of_somebody_known_is_accepted(world: World, people: People) -> None:
    """Who has an account already becomes a member under it."""
    person = await account(people, "again@example.com")
    token = await invited(people, "again@example.com")
    visitor = world.console.visitor()
    await world.sign_in(visitor, "again", f"/links/{token}/sign-in")
    assert signed_in_as(visitor) == person.email
    assert await people.memberships.role(WORKSPACE, person.id) is Role.MEMBER


async def test_an_invitation_for_another_address(world: World, people: People) -> None:
    """Whoever else signs in there is told whom it is for; no account is made, the link stays good."""
    token = await invited(people, "somebody@example.com")
    visitor = world.console.visitor()
    refused = await world.sign_in(visitor, "other", f"/links/{token}/sign-in")
    assert refused.status == 403
    assert (
        "The invitation is for somebody@example.com, and you signed in as other@example.com."
        in refused.text
    )
    assert signed_in_as(visitor) is None
    assert await people.accounts.by_email("other@example.com") is None
    assert visitor.get(f"/invitations/{token}").status == 200


async def test_an_invitation_that_was_withdrawn_meanwhile(world: World, people: People) -> None:
    """Who comes back too late for the link is told that it is the link."""
    token = await invited(people, "late@example.com")
    visitor = world.console.visitor()
    path = await world.back(visitor, "late", f"/links/{token}/sign-in")
    [link] = [one for one in await people.links.of_workspace(WORKSPACE) if "late" in one.email]
    await people.links.withdraw(NOBODY, WORKSPACE, link.id)
    refused = visitor.get(path)
    assert refused.status == 403
    assert "The link was used already or has expired. Ask for a new one." in refused.text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stranger", "nobody has invited your address"),
        ("unverified", "The provider has not verified your e-mail address"),
        ("nowhere", "The provider has not verified your e-mail address"),
        ("crooked", "nobody has invited your address"),
    ],
)
async def test_who_is_nobody_here(name: str, sentence: str, world: World, people: People) -> None:
    """Who signs in there and has no account here reads why, and none is made."""
    if name == "unverified":
        await account(people, "unverified@example.com")
    visitor = world.console.visitor()
    refused = await world.sign_in(visitor, name)
    assert refused.status == 403
    assert sentence in refused.text
    assert signed_in_as(visitor) is None
    assert await people.accounts.by_identity(world.issuer, name) is None


@pytest.mark.parametrize(
    ("name", "kept"), [("odd", "o" * 100), ("nameless", None)], ids=["too long", "none"]
)
async def test_names_that_cannot_be_kept(
    name: str, kept: str | None, world: World, people: People
) -> None:
    """A name that is too long, or none, keeps nobody out."""
    email = f"{name}@example.com"
    token = await invited(people, email)
    await world.sign_in(world.console.visitor(), name, f"/links/{token}/sign-in")
    person = await people.accounts.by_email(email)
    assert person is not None
    assert person.name == (kept or email)


async def test_somebody_cancels(world: World) -> None:
    """Back without an answer they read so, and can try again with where they wanted to go."""
    visitor = world.console.visitor()
    refused = await world.sign_in(visitor, "cancel", "/sign-in/oidc?next=/account")
    assert refused.status == 403
    assert "The sign-in was cancelled at the provider." in refused.text
    assert offers_the_provider(refused, "/account")
    assert SIGN_IN not in visitor.cookies
    last = [line for line in world.console.process.log() if "reason" in line][-1]
    assert last["reason"] == "response: access_denied"


async def test_the_cookie_of_the_way_there(world: World, people: People) -> None:
    """It is for this host and ten minutes alone, out of reach of scripts, and gone after the answer."""
    await account(people, "mover@example.com")
    visitor = world.console.visitor()
    world.leave(visitor)
    [line] = visitor.set_cookies
    assert re.fullmatch(
        r"__Host-console-oidc=[\w-]+; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600", line
    )
    visitor.cookies[SESSION] = planted = "A" * 43
    done = await world.sign_in(visitor, "mover")
    assert done.status == 303
    assert SIGN_IN not in visitor.cookies
    assert visitor.cookies[SESSION] != planted


@pytest.mark.parametrize(
    ("place", "target"),
    [("/account?a=b", "/account?a=b"), ("//evil.example", "/"), ("~/x", "/"), ("/" * 3000, "/")],
    ids=["ours", "another site", "no path", "too long"],
)
async def test_the_way_on(place: str, target: str, world: World, people: People) -> None:
    """After the provider it goes on to where it was going, and never off the site."""
    email = "known@example.com"
    if await people.accounts.by_email(email) is None:
        await account(people, email)
    visitor = world.console.visitor()
    done = await world.sign_in(visitor, "known", "/sign-in/oidc?" + urlencode({"next": place}))
    assert visitor.get(done.location).location == target


async def test_an_answer_is_good_once_and_for_one_browser(world: World, people: People) -> None:
    """Replayed, with or without the cookie, or planted in another browser, it signs nobody in."""
    if await people.accounts.by_email("known@example.com") is None:
        await account(people, "known@example.com")
    visitor, thief = world.console.visitor(), world.console.visitor()
    path = await world.back(visitor, "known")
    flow = visitor.cookies[SIGN_IN]
    for cookies in ({}, {SIGN_IN: "junk"}, {SIGN_IN: "é".encode().decode("latin-1")}):
        thief.cookies = dict(cookies)
        assert "began in another browser" in thief.get(path).text
    thief.cookies.clear()
    world.leave(thief)
    refused = thief.get(path)
    assert refused.status == 403
    assert "not begun in this browser" in refused.text
    assert visitor.get(path).status == 303
    thief.cookies = {SIGN_IN: flow}
    replayed = thief.get(path)
    assert (replayed.status, SESSION in thief.cookies) == (403, False)
    assert signed_in_as(visitor) == "known@example.com"
    again = visitor.get(path)
    assert (again.status, again.location) == (303, "/")
    assert signed_in_as(visitor) == "known@example.com"


async def test_nothing_of_it_is_in_the_log(world: World, people: People) -> None:
    """Neither code, state and verifier nor the client's secret are written down."""
    if await people.accounts.by_email("known@example.com") is None:
        await account(people, "known@example.com")
    visitor = world.console.visitor()
    path = await world.back(visitor, "known")
    cookie = visitor.cookies[SIGN_IN]
    visitor.get(path)
    query = parse_qs(urlsplit(path).query)
    written = world.console.process.stderr.read_text()
    assert '"page": "/sign-in/oidc/callback"' in written
    for secret in (query["code"][0], query["state"][0], cookie, CLIENT_SECRET):
        assert secret not in written


@pytest.mark.parametrize("proof", ["", "?proof=", "?proof=" + "0" * 64])
async def test_another_site_begins_nothing(proof: str, world: World, people: People) -> None:
    """A link of another site keeps nothing in the browser, and ends no sign-in that is under way."""
    if await people.accounts.by_email("known@example.com") is None:
        await account(people, "known@example.com")
    token = await invited(people, f"{secrets.token_hex(4)}@example.com")
    visitor, elsewhere = world.console.visitor(), {"Sec-Fetch-Site": "cross-site"}
    path = await world.back(visitor, "known")
    before = visitor.cookies[SIGN_IN]

    begun = visitor.get(f"/sign-in/oidc{proof}", elsewhere)
    linked = visitor.get(f"/links/{token}/sign-in{proof}", elsewhere)
    answered = visitor.get(f"{CALLBACK}?code=another&state=another", elsewhere)

    assert (begun.status, urlsplit(begun.location).path) == (303, "/sign-in")
    assert (linked.status, linked.location) == (303, f"/invitations/{token}")
    assert answered.status == 403
    assert visitor.cookies[SIGN_IN] == before
    assert visitor.get(path).status == 303
    assert signed_in_as(visitor) == "known@example.com"


async def test_the_page_of_a_link_leads_to_the_provider(world: World, people: People) -> None:
    """Its button carries the proof that it stands in our page."""
    email = f"{secrets.token_hex(4)}@example.com"
    token, visitor = await invited(people, email), world.console.visitor()
    shown = visitor.get(f"/invitations/{token}")
    found = re.search(rf'href="(/links/{token}/sign-in[?]proof=[0-9a-f]{{64}})"', shown.html)
    assert found is not None
    assert visitor.get(found[1]).location.startswith(world.issuer)


async def test_other_links_lead_to_no_provider(world: World, people: People) -> None:
    """A recovery link, or none, is taken up at no provider."""
    token = await invited(people, f"{secrets.token_hex(4)}@example.com")
    person = await people.links.accept_invitation(
        token, "R", Identity("https://i.example", "r"), ""
    )
    recovery = (await people.links.new_recovery(NOBODY, person.id)).reveal()
    visitor = world.console.visitor()
    for one in (recovery, token, "A" * 43):
        assert visitor.get(f"/links/{one}/sign-in").status == 404


async def test_the_provider_is_down(edge: Edge, tmp_path: Path) -> None:
    """The console starts and says so, nobody is signed in, and it works when the provider is back."""
    node, port, provider_port = node_with_packages(), free_port(), free_port()
    issuer = f"http://127.0.0.1:{provider_port}"
    with world_in(tmp_path / "down", edge, port, issuer) as world:
        visitor = world.console.visitor()
        down = world.leave(visitor, "/sign-in/oidc?next=/account")
        assert down.status == 503
        assert "The sign-in provider can't be used right now" in down.text
        assert offers_the_provider(down, "/account")
        assert 'type="password"' in down.html
        with provider_running(
            node, world.redirect_uri, client=CLIENT, accounts=ACCOUNTS, port=provider_port
        ):
            path = await world.back(visitor, "owner")
        gone = visitor.get(path)
        assert (gone.status, SESSION in visitor.cookies) == (503, False)
        assert "The sign-in provider can't be used right now" in gone.text
        reasons = [line["reason"] for line in world.console.process.log() if "reason" in line]
        assert reasons == ["discovery: not reachable", "token endpoint: not reachable"]
