"""Signing in with a password, as a browser and as somebody who guesses meet it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from console import security
from console.people import Password, Person, Role, open_people
from console.security import SESSION, VISITOR
from keyauthority.base.http.addresses import network
from tests.console.living import OWNER, PASSWORD, Console
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge

WRONG = "The e-mail address or the password is wrong."


@pytest.fixture(scope="module")
def guarded(edge: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that counts who fails, and hears from one proxy who it is."""
    flags = ("--proxies", "1", "--max-sign-ins", "12")
    console = Console(edge, tmp_path_factory.mktemp("guarded"), *flags)
    try:
        console.first_owner()
        yield console
    finally:
        console.stop()


class Client:
    """Somebody at an address of their own, in a browser that forgets everything each time."""

    def __init__(self, console: Console, forwarded: str = "") -> None:
        host = f"2001:db8:{secrets.randbits(15) + 1:x}:{secrets.randbits(15) + 1:x}::1"
        self._console, self._headers = console, {"X-Forwarded-For": forwarded or host}

    def tries(self, email: str, password: str) -> Shown:
        visitor = self._console.visitor()
        visitor.cookies[VISITOR] = "v" * 43
        fields = {"csrf": security.form_token("v" * 43), "email": email, "password": password}
        shown = visitor.post("/sign-in", fields, self._headers)
        assert (SESSION in visitor.cookies) is (shown.status == 303)
        return shown


def sign_in(visitor: Visitor, place: str = "/sign-in", **typed: str) -> Shown:
    return visitor.submit(visitor.get(place), "/sign-in", **typed)


async def with_password(cast: Cast) -> Person:
    """Somebody with `PASSWORD` who is a member."""
    email = f"{secrets.token_hex(6)}@example.com"
    _, token = await cast.books.links.invite(NOBODY, cast.workspace, email, Role.VIEWER)
    return await cast.books.links.accept_invitation(token.reveal(), "Pia", Password(PASSWORD), "")


def account_of(visitor: Visitor) -> str | None:
    """Whose account page the browser is shown."""
    shown = visitor.get("/account")
    if shown.status != 200:
        return None
    return shown.text.partition("You are ")[2].split()[0]


def test_the_right_password_signs_in(console: Console) -> None:
    """The right password, whatever the case of the address, opens the console to its owner."""
    visitor = console.visitor()
    done = sign_in(visitor, email=f" {OWNER.upper()} ", password=PASSWORD)
    assert visitor.follow(done).path.startswith("/workspaces")
    assert account_of(visitor) == OWNER


@pytest.mark.parametrize("password", ["four words are enougH", "", PASSWORD + " ", "x" * 5000])
async def test_a_wrong_password_does_not(cast: Cast, password: str) -> None:
    """A wrong password signs nobody in; the address stays in the form, the password does not."""
    person, visitor = await with_password(cast), cast.console.visitor()
    refused = sign_in(visitor, email=person.email, password=password)
    assert (refused.status, SESSION in visitor.cookies) == (401, False)
    assert WRONG in refused.text
    assert ("email", person.email) in refused.form("/sign-in").fields
    assert not password or password not in refused.html


def anonymous(shown: Shown, email: str) -> tuple[int, list[tuple[str, str]], str]:
    """What of an answer could tell one address from another."""
    changing = ("date", "x-request-id")
    headers = [
        (name.lower(), value) for name, value in shown.headers if name.lower() not in changing
    ]
    body = shown.html.replace(email, "EMAIL")
    return shown.status, headers, re.sub(r"<p>Request <code>[^<]*", "", body)


async def test_an_unknown_address_answers_like_a_known_one(cast: Cast) -> None:
    """Status, header fields and page are the same, whether the address has a password, or exists."""
    known, without = await with_password(cast), await cast.person()
    unknown = known.email[::-1].replace("@", "q").replace("moc.elpmaxe", "") + "@example.com"
    emails = [known.email, without.email, unknown[-len(known.email) :]]
    visitor = cast.console.visitor()
    page = visitor.get("/sign-in")
    answers = [
        anonymous(visitor.submit(page, "/sign-in", email=email, password="no"), email)
        for email in emails
    ]
    assert len({len(email) for email in emails}) == 1
    assert answers[0] == answers[1] == answers[2]


def test_guessing_one_password(guarded: Console) -> None:
    """After five failures at one address even the right password has to wait, elsewhere it need not."""
    client = Client(guarded)
    tried = [client.tries(OWNER, f"guess {number}").status for number in range(5)]
    assert tried == [401] * 5
    for password in ("guess 5", PASSWORD):
        refused = client.tries(OWNER, password)
        assert refused.status == 429
        assert re.search(r"Too many attempts. Try again in (a minute|\d minutes)\.", refused.text)
    assert Client(guarded).tries(OWNER, PASSWORD).status == 303


def test_guessing_at_an_unknown_address_is_braked_alike(guarded: Console) -> None:
    """The brake doesn't tell either whether there is such an address."""
    client = Client(guarded)
    tried = [client.tries("nobody@example.com", "guess").status for _ in range(6)]
    assert tried == [401] * 5 + [429]


def test_a_success_forgets_the_failures(guarded: Console) -> None:
    """Who gets it right at the fifth try has all tries again."""
    client = Client(guarded)
    for _ in range(2):
        assert [client.tries(OWNER, "guess").status for _ in range(4)] == [401] * 4
        assert client.tries(OWNER, PASSWORD).status == 303


def test_one_client_guesses_at_many_addresses(guarded: Console) -> None:
    """A client that tries address after address is braked, however well it knows one password."""
    client = Client(guarded)
    tried = [client.tries(f"{number}@example.com", "guess").status for number in range(4)]
    assert client.tries(OWNER, PASSWORD).status == 303
    tried += [client.tries(f"{number}@example.com", "guess").status for number in range(4, 14)]
    assert tried == [401] * 12 + [429] * 2
    assert client.tries(OWNER, PASSWORD).status == 429


def test_many_at_once_get_no_more_tries(guarded: Console) -> None:
    """Twenty guesses at the same time are judged no more often than five one after another."""
    client = Client(guarded)
    with ThreadPoolExecutor(20) as pool:
        statuses = list(
            pool.map(lambda n: client.tries("at-once@example.com", f"g {n}").status, range(20))
        )
    assert (statuses.count(401), statuses.count(429)) == (5, 15)


def test_a_network_is_one_client(guarded: Console) -> None:
    """Who has a whole IPv6 network gets no more tries by another address of it, others do."""
    hosts = [f"2001:db8:aaaa:1:{number}::{number}" for number in range(1, 7)]
    statuses = [Client(guarded, one).tries("v6@example.com", "no").status for one in hosts]
    assert statuses == [401] * 5 + [429]
    assert Client(guarded, "2001:db8:aaaa:2::1").tries("v6@example.com", "no").status == 401


def test_networks() -> None:
    """IPv4 addresses are counted each by itself, however they are written."""
    assert network("203.0.113.9") == network("::ffff:203.0.113.9") == "203.0.113.9"
    assert network("203.0.113.9") != network("203.0.113.10")
    assert network("2001:db8::1") == network("2001:db8:0:0:ffff::") == "2001:db8::/64"
    assert network("") == ""


def test_what_the_browser_says_of_its_address_is_ignored(guarded: Console) -> None:
    """Only the entry that the proxy added tells clients apart, whatever stands before it."""
    entries = [f"198.51.100.{number}, junk, 203.0.113.9" for number in range(6)]
    statuses = [Client(guarded, one).tries("spoof@example.com", "no").status for one in entries]
    assert statuses == [401] * 5 + [429]
    requests = [line for line in guarded.process.log() if line.get("page") == "/sign-in"]
    assert {line["client"] for line in requests[-6:]} == {"203.0.113.9"}


def test_without_proxies_the_connection_counts(console: Console) -> None:
    """A console with no proxy in front believes no X-Forwarded-For."""
    console.visitor().get("/sign-in", {"X-Forwarded-For": "203.0.113.77"})
    assert console.process.log()[-1]["client"] == "127.0.0.1"


PLACES = [
    ("/account", "/account"),
    ("/workspaces?done=x&a=%2F%2Fe", "/workspaces?done=x&a=%2F%2Fe"),
    ("", "/"),
    ("account", "/"),
    ("https://evil.example", "/"),
    ("//evil.example", "/"),
    ("///evil.example", "/"),
    ("//[", "/"),
    ("http://[::1", "/"),
    ("/\\evil.example", "/"),
    ("\\/evil.example", "/"),
    ("/\t/evil.example", "/"),
    ("/\r\nSet-Cookie: a=b", "/"),
    (" /account", "/"),
    ("javascript:alert(1)", "/"),
    ("/é", "/"),
    ("/" + "a" * 2000, "/"),
]


@pytest.mark.parametrize(("place", "target"), PLACES, ids=[ascii(one)[:20] for one, _ in PLACES])
async def test_next_never_leads_off_the_site(place: str, target: str, cast: Cast) -> None:
    """Whatever stands in `next`, whoever is signed in goes to a page of the console, or to the front."""
    visitor = await cast.visitor()
    for page in ("/sign-in", "/welcome"):
        query = "".join(f"%{byte:02x}" for byte in place.encode())
        gone = visitor.get(f"{page}?next={query}")
        assert (gone.status, gone.location) == (303, target)
        assert gone.header("set-cookie") == []


async def test_next_survives_a_sign_in(cast: Cast) -> None:
    """Who opened a page and had to sign in first comes to that page, through a wrong password too."""
    person, visitor = await with_password(cast), cast.console.visitor()
    place = f"/workspaces/{cast.workspace}/keys?q=a"
    asked = visitor.get(place)
    assert asked.location == "/sign-in?" + urlencode({"next": place})
    wrong = sign_in(visitor, asked.location, email=person.email, password="no")
    done = visitor.submit(wrong, "/sign-in", email=person.email, password=PASSWORD)
    assert visitor.follow(done).path == place


def test_a_posted_next_never_leads_off_the_site(console: Console) -> None:
    """A forged hidden field is no way out either."""
    visitor = console.visitor()
    done = sign_in(visitor, email=OWNER, password=PASSWORD, next="//evil.example")
    assert done.location == "/welcome?next=%2F"


async def test_no_presented_session_is_adopted(cast: Cast) -> None:
    """A sign-in gets a fresh session, whichever cookie was there before, and ends the visitor's."""
    person, planted = await with_password(cast), "A" * 43
    visitor = cast.console.visitor()
    visitor.cookies[SESSION] = planted
    sign_in(visitor, email=person.email, password=PASSWORD)
    assert visitor.cookies[SESSION] != planted
    assert VISITOR not in visitor.cookies
    assert await cast.books.sessions.find(planted) is None
    assert account_of(visitor) == person.email


async def test_somebody_elses_session_is_not_taken_over(cast: Cast) -> None:
    """Signing in over another person's session ends it, and begins one that is not theirs."""
    person, other = await with_password(cast), await cast.person()
    _, token = await cast.books.sessions.begin(other.id, "", "", "oidc")
    visitor = cast.console.visitor()
    visitor.cookies[SESSION] = token.reveal()
    fields = {
        "csrf": security.form_token(token.reveal()),
        "email": person.email,
        "password": PASSWORD,
    }
    assert visitor.post("/sign-in", fields).status == 303
    assert visitor.cookies[SESSION] != token.reveal()
    assert await cast.books.sessions.of_person(other.id) == []
    assert account_of(visitor) == person.email


def test_the_session_cookie(console: Console) -> None:
    """The cookie is for this host alone, over TLS alone, and out of reach of scripts."""
    visitor = console.visitor()
    sign_in(visitor, email=OWNER, password=PASSWORD)
    [line] = [line for line in visitor.set_cookies if line.startswith(SESSION)]
    assert re.fullmatch(
        r"__Host-console-session=[\w-]{43}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=604800",
        line,
    )


async def test_signing_out_ends_the_session_at_once(cast: Cast) -> None:
    """A copy of the cookie opens nothing any more either, and the browser is told so."""
    visitor, thief = await cast.visitor(), cast.console.visitor()
    thief.cookies = dict(visitor.cookies)
    assert account_of(thief) is not None
    gone = visitor.submit(visitor.get("/account"), "/sign-out")
    assert gone.location == "/sign-in?done=signed-out"
    assert SESSION not in visitor.cookies
    assert "You are signed out." in visitor.follow(gone).text
    assert account_of(thief) is None
    assert SESSION not in thief.cookies


@pytest.mark.parametrize(
    ("begun", "used", "lasts"),
    [
        (timedelta(hours=11, minutes=50), timedelta(hours=11, minutes=50), True),
        (timedelta(hours=12, minutes=1), timedelta(hours=12, minutes=1), False),
        (timedelta(days=6, hours=23), timedelta(minutes=5), True),
        (timedelta(days=7, minutes=1), timedelta(minutes=5), False),
    ],
    ids=["used lately", "idle", "in use", "in use for too long"],
)
async def test_a_session_ends(begun: timedelta, used: timedelta, lasts: bool, cast: Cast) -> None:
    """Twelve hours after it was last used, and seven days after it began, whatever was done."""
    person = await cast.person()
    now = [datetime.now(UTC) - begun]
    forever = timedelta(days=100)
    async with open_people(
        cast.console.database, lambda: now[0], idle=forever, absolute=forever
    ) as earlier:
        _, token = await earlier.sessions.begin(person.id, "", "", "oidc")
        now[0] = datetime.now(UTC) - used
        assert await earlier.sessions.find(token.reveal()) is not None
    visitor = cast.console.visitor()
    visitor.cookies[SESSION] = token.reveal()
    assert (account_of(visitor) == person.email) is lasts


def test_a_browser_that_keeps_no_cookie_is_told_so(console: Console) -> None:
    """Neither a form without its cookie nor a sign-in that wasn't kept leaves anybody guessing."""
    visitor = console.visitor()
    page = visitor.get("/sign-in")
    visitor.cookies.clear()
    refused = visitor.submit(page, "/sign-in", email=OWNER, password=PASSWORD)
    assert refused.status == 403
    assert "Allow cookies for this address" in refused.text
    assert 'href="/sign-in"' in refused.html
    done = sign_in(visitor, "/sign-in?next=/account", email=OWNER, password=PASSWORD)
    visitor.cookies.clear()
    shown = visitor.follow(done)
    assert "Your browser did not keep the sign-in." in shown.text
    assert ("next", "/account") in shown.form("/sign-in").fields


def test_error_pages_leave_a_form_that_is_open_alone(console: Console) -> None:
    """What another site sends, or a page that isn't there, doesn't outdate the form beside it."""
    visitor = console.visitor()
    page = visitor.get("/sign-in")
    kept = dict(visitor.cookies)
    visitor.cookies.clear()
    assert visitor.get("/favicon.ico").status == 404
    assert visitor.post("/sign-in", {}, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert visitor.cookies == {}
    visitor.cookies = kept
    done = visitor.submit(page, "/sign-in", email=OWNER, password=PASSWORD)
    assert done.status == 303


async def test_a_form_of_before_the_sign_in_is_refused(cast: Cast) -> None:
    """The token of a form ends with the cookie it was shown under."""
    person = await with_password(cast)
    visitor = cast.console.visitor()
    page = visitor.get("/sign-in")
    visitor.submit(page, "/sign-in", email=person.email, password=PASSWORD)
    again = visitor.submit(page, "/sign-in", email=person.email, password=PASSWORD)
    assert again.status == 403
    assert "out of date" in again.text


async def test_passwords_and_tokens_are_not_in_the_log(cast: Cast) -> None:
    """Neither what was typed nor the session it began is written down."""
    person, console = await with_password(cast), cast.console
    visitor = console.visitor()
    sign_in(visitor, email=person.email, password="canary of a wrong password")
    sign_in(visitor, "/sign-in?next=/canary-in-a-query", email=person.email, password=PASSWORD)
    written = console.process.stderr.read_text() + console.process.stdout.read_text()
    for secret in ("canary", PASSWORD, person.email, visitor.cookies[SESSION]):
        assert secret not in written
    assert visitor.cookies[SESSION].encode() not in console.database.read_bytes()
