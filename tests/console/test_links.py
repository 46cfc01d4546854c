"""One-time links: the first owner's, invitations, and the ones that set a new password."""

from __future__ import annotations

import re
import stat
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from console.people import Identity, Password, People, Person, Role, open_people
from console.security import SESSION
from tests.console.living import OWNER, PASSWORD, Console
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge, edge_running
from tests.e2e.processes import eventually

BROKEN = "This link does not work"
ANOTHER = "another few words"


@pytest.fixture(scope="module")
def small_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An installation with a single workspace, whose authority may be stopped."""
    with edge_running(tmp_path_factory.mktemp("small")) as edge:
        yield edge


def set_up(visitor: Visitor, path: str, **typed: str) -> Shown:
    typed = {"email": OWNER, "name": "Olga", "password": PASSWORD} | typed
    return visitor.submit(visitor.get(path), path, **typed)


@asynccontextmanager
async def books_of(console: Console, ago: timedelta = timedelta()) -> AsyncIterator[People]:
    """The console's own books, opened at an earlier time."""
    async with open_people(console.database, lambda: datetime.now(UTC) - ago) as books:
        yield books


class Guests:
    """People with and without an account who are invited to the cast's workspace."""

    def __init__(self, cast: Cast) -> None:
        self.cast, self.books = cast, cast.books

    async def invited(self, email: str, role: Role = Role.MEMBER) -> str:
        _, token = await self.books.links.invite(NOBODY, self.cast.workspace, email, role)
        return f"/invitations/{token.reveal()}"

    async def role(self, person: Person) -> Role | None:
        return await self.books.memberships.role(self.cast.workspace, person.id)

    async def newcomer(self) -> str:
        """An address that nobody has."""
        return (await self.cast.person()).email.replace("@", ".new@")


@pytest.fixture
def guests(cast: Cast) -> Guests:
    return Guests(cast)


async def with_password(cast: Cast) -> Person:
    """Somebody with `PASSWORD` who is in no workspace."""
    email = (await cast.person()).email.replace("@", ".pw@")
    _, token = await cast.books.links.invite(NOBODY, "ws_0000000000000000", email, Role.OWNER)
    return await cast.books.links.accept_invitation(token.reveal(), "Pia", Password(PASSWORD), "")


async def recovery_of(cast: Cast, person: Person) -> str:
    return f"/recovery/{(await cast.books.links.new_recovery(NOBODY, person.id)).reveal()}"


# The first owner's link.


async def test_the_first_owner(own_console: Console) -> None:
    """The link stands in a file for the operator alone, works once, and is gone afterwards."""
    file = own_console.folder / "console.link"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    path, visitor = own_console.setup_path, own_console.visitor()
    done = set_up(visitor, path)
    assert visitor.follow(done).status == 200
    assert visitor.get("/administration").status == 200
    assert not file.exists()
    for again in (visitor, own_console.visitor()):
        assert BROKEN in again.get(path).text
    own_console.stop()
    own_console.start()
    assert not file.exists()
    async with books_of(own_console) as books:
        assert len(await books.accounts.page(10)) == 1


def test_each_start_has_a_link_of_its_own(own_console: Console) -> None:
    """Until somebody takes it up a new start writes a new link, and the one before is void."""
    first = own_console.setup_path
    own_console.stop()
    own_console.start()
    second = own_console.setup_path
    assert first != second
    visitor = own_console.visitor()
    assert [visitor.get(path).status for path in (first, second)] == [404, 200]


def test_a_link_that_is_left_behind_is_removed(own_console: Console) -> None:
    """A start of a console that has an owner leaves no file that looks like a way in."""
    own_console.first_owner()
    own_console.stop()
    file = own_console.folder / "console.link"
    file.write_text("http://127.0.0.1/setup/old\n")
    own_console.start()
    assert not file.exists()


async def test_two_at_once_make_one_owner(own_console: Console) -> None:
    """Of several who send the form at the same time one becomes the owner, the others are told."""
    path = own_console.setup_path
    visitors = [own_console.visitor() for _ in range(4)]
    pages = [visitor.get(path) for visitor in visitors]

    def send(number: int) -> int:
        email = f"owner{number}@example.com"
        typed = {"email": email, "name": "Olga", "password": PASSWORD}
        return visitors[number].submit(pages[number], path, **typed).status

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(send, range(4)))
    assert statuses == [303, 404, 404, 404]
    async with books_of(own_console) as books:
        assert [one.administrator for one in await books.accounts.page(10)] == [True]


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("email", "olga", "Enter an e-mail address"),
        ("name", "  ", "Enter a name."),
        ("password", "too short", "Use at least 12 characters"),
        ("password", OWNER, "Use something else than your name or address."),
        ("password", "password1234", "among the first that are tried"),
    ],
)
def test_what_is_wrong_is_said_beside_it(
    field: str, typed: str, sentence: str, unowned: Console
) -> None:
    """The form comes back with what was typed, but for the password, and the link stays good."""
    path, visitor = unowned.setup_path, unowned.visitor()
    shown = set_up(visitor, path, **{field: typed})
    assert shown.status == 422
    assert sentence in shown.element(f"{field}-error")
    fields = dict(shown.form(path).fields)
    wanted = {"email": OWNER, "name": "Olga", field: typed.strip()}
    assert (fields["email"], fields["name"]) == (wanted["email"], wanted["name"])
    assert fields["password"] == ""
    assert visitor.get(path).status == 200


@pytest.fixture(scope="module")
def unowned(small_edge: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that nobody owns, for tests that leave it so."""
    console = Console(small_edge, tmp_path_factory.mktemp("unowned"))
    try:
        yield console
    finally:
        console.stop()


async def test_a_set_up_while_the_authority_is_away(unowned: Console) -> None:
    """What was typed stays, the link too; once the authority is back its only workspace is theirs."""
    edge, path, visitor = unowned.edge, unowned.setup_path, unowned.visitor()
    workspace = edge.operator.workspace("the only one")
    edge.authority.stop()
    try:
        shown = set_up(visitor, path)
        assert shown.status == 503
        assert "Your link stays good" in shown.text
        assert ("email", OWNER) in shown.form(path).fields
        assert ("name", "Olga") in shown.form(path).fields
        assert SESSION not in visitor.cookies
    finally:
        edge.recover_authority()
    done = eventually(
        "the form is taken",
        lambda: one if (one := visitor.submit(shown, path, password=PASSWORD)).location else None,
    )
    assert visitor.follow(done).path == f"/workspaces/{workspace}/keys"
    async with books_of(unowned) as books:
        [owner] = await books.accounts.page(2)
        assert await books.memberships.role(workspace, owner.id) is Role.OWNER


# Invitations.


async def test_an_invitation_makes_an_account(guests: Guests) -> None:
    """Somebody new reads who invites them to what, gives name and password, and is in."""
    email = await guests.newcomer()
    path = await guests.invited(email)
    visitor = guests.cast.console.visitor()
    page = visitor.get(path)
    assert "Join Acme" in page.text
    assert f"invites {email} as member" in page.text
    done = visitor.submit(page, path, name="Nora", password=PASSWORD)
    assert visitor.follow(done).path == f"/workspaces/{guests.cast.workspace}/keys"
    person = await guests.books.accounts.by_email(email)
    assert person is not None
    assert (person.name, await guests.role(person)) == ("Nora", Role.MEMBER)
    assert BROKEN in guests.cast.console.visitor().get(path).text


async def test_an_invitation_with_a_weak_password(guests: Guests) -> None:
    """The fault stands beside the field, the name stays, and the link stays good."""
    path = await guests.invited(await guests.newcomer())
    visitor = guests.cast.console.visitor()
    shown = visitor.submit(visitor.get(path), path, name="Nora", password="short")
    assert shown.status == 422
    assert "at least 12 characters" in shown.element("password-error")
    assert ("name", "Nora") in shown.form(path).fields
    assert visitor.get(path).status == 200


async def test_an_invitation_with_a_secret_for_a_name(guests: Guests) -> None:
    """A key's secret that was pasted as a name is neither kept nor shown again."""
    email = await guests.newcomer()
    path = await guests.invited(email)
    visitor = guests.cast.console.visitor()
    name = "Nora sk-optk-" + "A1b2" * 8
    shown = visitor.submit(visitor.get(path), path, name=name, password=PASSWORD)
    assert shown.status == 422
    assert "This contains a key’s secret" in shown.element("name-error")
    assert "sk-optk" not in shown.html
    assert await guests.books.accounts.by_email(email) is None


def test_a_secret_for_the_first_owners_name(own_console: Console) -> None:
    """Nor as the first owner's; the link stays good."""
    path, visitor = own_console.setup_path, own_console.visitor()
    shown = set_up(visitor, path, name="sk-optk-" + "A1b2" * 8)
    assert shown.status == 422
    assert "This contains a key’s secret" in shown.element("name-error")
    assert visitor.get(path).status == 200


async def test_an_invitation_of_somebody_known(guests: Guests) -> None:
    """Who has an account signs in with it, comes back to the invitation, and joins by one button."""
    person = await with_password(guests.cast)
    path = await guests.invited(person.email)
    visitor = guests.cast.console.visitor()
    page = visitor.get(path)
    assert "Have an account with this address already? Sign in to join" in page.text
    assert f'href="/sign-in?next={path}"' in page.html
    sign_in = visitor.get(f"/sign-in?next={path}")
    done = visitor.submit(sign_in, "/sign-in", email=person.email, password=PASSWORD)
    page = visitor.follow(done)
    assert page.path == path
    joined = visitor.submit(page, path)
    assert joined.location == f"/workspaces/{guests.cast.workspace}/keys?done=joined"
    assert await guests.role(person) is Role.MEMBER
    assert BROKEN in visitor.get(path).text


async def test_an_invitation_does_not_tell_who_has_an_account(guests: Guests) -> None:
    """Whoever opens the link, the owner who made it among them, reads the same of anybody."""
    known, unknown = (await with_password(guests.cast)).email, await guests.newcomer()
    pages = []
    for email in (known, unknown):
        path = await guests.invited(email)
        html = guests.cast.console.visitor().get(path).html
        html = re.sub(r"[0-9a-f]{64}|req_[0-9a-f]+|[\w-]{43}|\d{4}(-\d\d){2}T[\d:+]+", "…", html)
        pages.append(html.replace(email, "EMAIL"))
    assert pages[0] == pages[1]


async def test_somebody_elses_invitation(guests: Guests) -> None:
    """Who is signed in as somebody else reads so, and can't take the invitation up."""
    guest, other = await guests.cast.person(), await guests.cast.person()
    path = await guests.invited(guest.email)
    visitor = await guests.cast.signed_in(other)
    page = visitor.get(path)
    assert f"You are signed in as {other.email} , but the invitation is for" in page.text
    token = dict(page.form("/sign-out").fields)["csrf"]
    refused = visitor.post(path, {"csrf": token})
    assert refused.status == 403
    assert "This invitation is for somebody else." in refused.text
    assert (await guests.role(other), await guests.role(guest)) == (None, None)
    assert visitor.get(path).status == 200


async def test_no_second_account_by_an_invitation(guests: Guests) -> None:
    """A form that was opened before the guest had an account sends them to sign in instead."""
    email = await guests.newcomer()
    path = await guests.invited(email)
    visitor = guests.cast.console.visitor()
    page = visitor.get(path)
    _, elsewhere = await guests.books.links.invite(
        NOBODY, "ws_0000000000000000", email, Role.VIEWER
    )
    await guests.books.links.accept_invitation(
        elsewhere.reveal(), "Nora", Identity("https://issuer.example", email), ""
    )
    shown = visitor.submit(page, path, name="Nora", password=PASSWORD)
    assert shown.status == 409
    assert "There is an account with this address already." in shown.text
    assert "Sign in to join" in shown.text
    assert SESSION not in visitor.cookies


async def test_an_invitation_made_anew_voids_the_one_before(guests: Guests) -> None:
    """Of two invitations for one address only the last opens anything, and a withdrawn one nothing."""
    email = await guests.newcomer()
    first, second = await guests.invited(email), await guests.invited(email)
    visitor = guests.cast.console.visitor()
    assert [visitor.get(path).status for path in (first, second)] == [404, 200]
    [invitation] = await guests.books.links.of_workspace(guests.cast.workspace)
    await guests.books.links.withdraw(NOBODY, guests.cast.workspace, invitation.id)
    assert visitor.get(second).status == 404


# Recovery.


async def test_a_new_password(cast: Cast) -> None:
    """A recovery link sets the password, ends what was signed in, and gives all tries back."""
    person = await with_password(cast)
    before = await cast.signed_in(person)
    path, visitor = await recovery_of(cast, person), cast.console.visitor()
    for _ in range(5):
        assert sign_in(visitor, person, "no idea").status == 401
    page = visitor.get(path)
    assert f'value="{person.email}"' in page.html
    weak = visitor.submit(page, path, password="short")
    assert weak.status == 422
    assert "at least 12 characters" in weak.element("password-error")
    done = visitor.submit(weak, path, password=ANOTHER)
    assert "Your password is set. Sign in with it." in visitor.follow(done).text
    assert before.get("/account").status == 303
    assert sign_in(visitor, person, PASSWORD).status == 401
    assert sign_in(visitor, person, ANOTHER).status == 303
    assert BROKEN in visitor.get(path).text


def sign_in(visitor: Visitor, person: Person, password: str) -> Shown:
    page = visitor.get("/sign-in")
    return visitor.submit(page, "/sign-in", email=person.email, password=password)


async def test_recovery_links_used_at_once(cast: Cast) -> None:
    """Two who send the same recovery link's form at the same time set one password."""
    person = await with_password(cast)
    path = await recovery_of(cast, person)
    visitors = [cast.console.visitor() for _ in range(2)]
    pages = [visitor.get(path) for visitor in visitors]
    words = ["first of several words", "second of several words"]
    with ThreadPoolExecutor(2) as pool:
        sent = pool.map(lambda n: visitors[n].submit(pages[n], path, password=words[n]), range(2))
        statuses = [shown.status for shown in sent]
    assert sorted(statuses) == [303, 404]
    signed_in = [sign_in(cast.console.visitor(), person, word).status for word in words]
    assert signed_in == [303 if status == 303 else 401 for status in statuses]


# Links that are none.


async def test_expired_links(cast: Cast) -> None:
    """Invitations end after seven days, recovery after an hour; then they say so, both ways."""
    person = await cast.person()
    for ago, purpose, status in (
        (timedelta(days=7, minutes=1), "invitations", 404),
        (timedelta(days=6, hours=23), "invitations", 200),
        (timedelta(hours=1, minutes=1), "recovery", 404),
        (timedelta(minutes=59), "recovery", 200),
    ):
        async with books_of(cast.console, ago) as books:
            if purpose == "recovery":
                token = await books.links.new_recovery(NOBODY, person.id)
            else:
                email = f"{abs(ago)}@example.com".replace(" ", "").replace(",", "")
                _, token = await books.links.invite(NOBODY, cast.workspace, email, Role.VIEWER)
        path, visitor = f"/{purpose}/{token.reveal()}", cast.console.visitor()
        assert visitor.get(path).status == status, (ago, purpose)
        if status == 404:
            fields = dict(visitor.get("/sign-in").form("/sign-in").fields)
            sent = {"csrf": fields["csrf"], "name": "N", "password": PASSWORD}
            assert BROKEN in visitor.post(path, sent).text


@pytest.mark.parametrize("token", ["A" * 43, "x", "a-b_c", "A" * 128])
@pytest.mark.parametrize("purpose", ["setup", "invitations", "recovery"])
def test_unknown_links(purpose: str, token: str, console: Console) -> None:
    """A link that never was is answered like one that is used up."""
    shown = console.visitor().get(f"/{purpose}/{token}")
    assert shown.status == 404
    assert BROKEN in shown.text


@pytest.mark.parametrize(
    "token", ["", "A" * 129, "%2e%2e", "a%00b", "%22%3E%3Cscript%3E", "%C3%A9"]
)
def test_malformed_links(token: str, console: Console) -> None:
    """What can't be a link's token is no page at all, and comes back in none."""
    shown = console.visitor().get(f"/recovery/{token}")
    assert shown.status in (400, 404)
    assert BROKEN not in shown.html
    assert "<script>" not in shown.html


async def test_a_link_is_good_for_its_own_purpose_alone(guests: Guests) -> None:
    """An invitation's token recovers nothing, and a recovery's joins nothing."""
    person = await guests.cast.person()
    invitation = await guests.invited(await guests.newcomer())
    recovery = await recovery_of(guests.cast, person)
    tokens = {"invitations": invitation.split("/")[2], "recovery": recovery.split("/")[2]}
    visitor = guests.cast.console.visitor()
    for own, token in tokens.items():
        for purpose in ("setup", "invitations", "recovery"):
            expected = 200 if purpose == own else 404
            assert visitor.get(f"/{purpose}/{token}").status == expected


async def test_links_are_not_in_the_log(guests: Guests) -> None:
    """The log names the page, and nothing of the link that opened it."""
    email = await guests.newcomer()
    path = await guests.invited(email)
    visitor, console = guests.cast.console.visitor(), guests.cast.console
    page = visitor.get(path)
    visitor.submit(page, path, name="Nora", password=PASSWORD)
    visitor.get("/sign-in?next=" + path)
    token = path.split("/")[2]
    written = console.process.stderr.read_text() + console.process.stdout.read_text()
    assert '"page": "/invitations/{token}"' in written
    assert token not in written
    assert not re.search(r"/(setup|invitations|recovery)/[A-Za-z0-9_-]{43}", written)
    assert email not in written
