"""A person's own page."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from console import security
from console.pages.account import browser
from console.people import Password, Person, Role
from console.security import SESSION
from tests.console.living import PASSWORD
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor

NEW = "a few other words"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0"
)
ON_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1"
)


async def with_password(cast: Cast, role: Role = Role.OWNER) -> Person:
    """Somebody with `PASSWORD`."""
    email = f"{secrets.token_hex(6)}@example.com"
    _, token = await cast.books.links.invite(NOBODY, cast.workspace, email, role)
    return await cast.books.links.accept_invitation(token.reveal(), "Pia", Password(PASSWORD), "")


def change(visitor: Visitor, current: str, new: str) -> Shown:
    return visitor.submit(
        visitor.get("/account"), "/account/password", current_password=current, new_password=new
    )


async def test_name_and_zone_are_kept(cast: Cast) -> None:
    """What is saved is said to be, stands in the form, and in the bar of every page."""
    visitor = await cast.visitor(Role.OWNER)
    page = visitor.get("/account")
    saved = visitor.follow(
        visitor.submit(page, "/account", name=" <b>Ada</b> ", time_zone="Asia/Seoul")
    )
    assert "Saved." in saved.text
    assert ("name", "<b>Ada</b>") in saved.form("/account").fields
    assert "<option selected>Asia/Seoul</option>" in saved.html
    assert "<b>Ada</b>" in visitor.get("/workspaces").text


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "Enter a name."),
        ("name", "n" * 101, "at most 100 characters"),
        ("name", "a\u202eb", "no invisible characters"),
        ("name", "Ada sk-optk-" + "A1b2" * 8, "This contains a key’s secret"),
        ("time_zone", "Asia/Atlantis", "Choose a time zone from the list."),
        ("time_zone", "../../etc/passwd", "Choose a time zone from the list."),
    ],
)
async def test_what_is_wrong_is_said_beside_it(
    field: str, typed: str, sentence: str, cast: Cast
) -> None:
    """A name or a zone that can't be kept comes back with a sentence, and nothing is changed."""
    person = await cast.person()
    visitor = await cast.signed_in(person)
    sent = {"name": "Ada", "time_zone": "Europe/Paris", field: typed}
    shown = visitor.submit(visitor.get("/account"), "/account", **sent)
    assert shown.status == 422
    assert sentence in shown.element(f"{field}-error")
    assert "sk-optk" not in shown.html
    assert await cast.books.accounts.get(person.id) == person


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/St_Johns", "UTC"])
async def test_times_are_in_the_chosen_zone(zone: str, cast: Cast) -> None:
    """A page tells times as the clock on the reader's wall does."""
    person = await cast.person(Role.OWNER)
    await cast.books.accounts.update(NOBODY, person.id, time_zone=zone)
    visitor = await cast.signed_in(person)
    before = datetime.now(UTC)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    after = datetime.now(UTC)
    page = visitor.get(f"/workspaces/{cast.workspace}/keys/{key.id}")
    told = {
        f"{local.day} {local:%b %Y, %H:%M} {local.tzname()}"
        for local in (time.astimezone(ZoneInfo(zone)) for time in (before, after))
    }
    assert any(one in page.html for one in told), told
    assert f'data-zone="{zone}"' in page.html


async def test_a_new_password(cast: Cast) -> None:
    """Under the old one it is changed; other sign-ins end, and this one goes on by another name."""
    person = await with_password(cast)
    visitor, other = await cast.signed_in(person), await cast.signed_in(person)
    old = visitor.cookies[SESSION]
    done = change(visitor, PASSWORD, NEW)
    assert "Your password is changed" in visitor.follow(done).text
    assert visitor.cookies[SESSION] != old
    assert await cast.books.sessions.find(old) is None
    assert other.get("/account").status == 303
    assert await cast.books.accounts.check_password(person.email, NEW) is not None
    assert await cast.books.accounts.check_password(person.email, PASSWORD) is None


@pytest.mark.parametrize(
    ("current", "new", "field", "sentence"),
    [
        ("not this one", NEW, "current_password", "That is not your password."),
        ("", NEW, "current_password", "That is not your password."),
        (PASSWORD, "short", "new_password", "Use at least 12 characters"),
        (PASSWORD, "n" * 129, "new_password", "Use at most 128 characters."),
        (PASSWORD, "aaaaaaaaaaaaa", "new_password", "among the first that are tried"),
    ],
)
async def test_a_password_that_is_not_changed(
    current: str, new: str, field: str, sentence: str, cast: Cast
) -> None:
    """The sentence stands beside the field, no password comes back, and all stays as it was."""
    person = await with_password(cast)
    visitor, other = await cast.signed_in(person), await cast.signed_in(person)
    refused = change(visitor, current, new)
    assert refused.status == 422
    assert sentence in refused.element(f"{field}-error")
    assert PASSWORD not in refused.html
    assert new not in refused.html
    assert other.get("/account").status == 200
    assert await cast.books.accounts.check_password(person.email, PASSWORD) is not None


async def test_guessing_the_password_of_an_open_browser(cast: Cast) -> None:
    """After five wrong ones, many at once or not, even the right one has to wait."""
    person = await with_password(cast)
    visitor = await cast.signed_in(person)
    page = visitor.get("/account")

    def guess(number: int) -> int:
        typed = {"current_password": f"guess {number}", "new_password": NEW}
        return visitor.submit(page, "/account/password", **typed).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(guess, range(8)))
    assert statuses == [422] * 5 + [429] * 3
    refused = change(visitor, PASSWORD, NEW)
    assert refused.status == 429
    assert "Too many attempts. Try again in 3 minutes." in refused.text
    assert await cast.books.accounts.check_password(person.email, PASSWORD) is not None


async def test_weak_passwords_are_no_guesses(cast: Cast) -> None:
    """Who knows the old one may look for a new one as long as it takes."""
    visitor = await cast.signed_in(await with_password(cast))
    statuses = [change(visitor, PASSWORD, "short").status for _ in range(6)]
    assert statuses == [422] * 6
    assert change(visitor, PASSWORD, NEW).status == 303


async def test_a_sign_in_alone_sets_no_password(cast: Cast) -> None:
    """Who signs in elsewhere has no password form, and a forged one sets none."""
    person = await cast.person()
    visitor = await cast.signed_in(person)
    assert "/account/password" not in visitor.get("/account").html
    fields = {"csrf": security.form_token(visitor.cookies[SESSION]), "new_password": NEW}
    refused = visitor.post("/account/password", fields)
    assert refused.status == 409
    assert "You sign in without a password here" in refused.text
    assert await cast.books.accounts.check_password(person.email, NEW) is None


async def test_sign_ins_are_listed(cast: Cast) -> None:
    """Each with its browser, address and way in, this one marked, and nobody else's among them."""
    person, stranger = await cast.person(), await cast.person()
    await cast.books.accounts.set_password(NOBODY, person.id, PASSWORD)
    visitor = await cast.signed_in(person)
    sessions = cast.books.sessions
    await sessions.begin(person.id, "203.0.113.7", FIREFOX, "password")
    await sessions.begin(stranger.id, "198.51.100.1", EDGE, "oidc")
    page = visitor.get("/account")
    assert "Firefox on Linux Sign out 203.0.113.7" in page.text or (
        "Firefox on Linux" in page.text and "203.0.113.7 · password" in page.text
    )
    assert "test this one 127.0.0.1 · single sign-on" in page.text
    assert "198.51.100.1" not in page.text
    assert visitor.cookies[SESSION] not in page.html


async def test_one_sign_in_is_ended(cast: Cast) -> None:
    """The other browser is signed out at once, this one stays, and a third one too."""
    person = await cast.person()
    visitor, other, third = [await cast.signed_in(person) for _ in range(3)]
    ended = await cast.books.sessions.find(other.cookies[SESSION])
    assert ended is not None
    page = visitor.get("/account")
    action = f"/account/sessions/{ended.id}/end"
    done = visitor.follow(visitor.submit(page, action))
    assert "That sign-in is ended." in done.text
    assert [one.get("/account").status for one in (visitor, other, third)] == [200, 303, 200]
    assert visitor.submit(page, action).status == 404


async def test_this_sign_in_is_ended(cast: Cast) -> None:
    """Ending the one that is asking signs it out in order, with a page that says so."""
    visitor = await cast.visitor()
    token = visitor.cookies[SESSION]
    mine = await cast.books.sessions.find(token)
    assert mine is not None
    done = visitor.post(f"/account/sessions/{mine.id}/end", {"csrf": security.form_token(token)})
    assert SESSION not in visitor.cookies
    assert "You are signed out." in visitor.follow(done).text


async def test_all_other_sign_ins_are_ended(cast: Cast) -> None:
    """One button signs out everywhere else, and is there only while there is an elsewhere."""
    person = await cast.person()
    visitor, *others = [await cast.signed_in(person) for _ in range(3)]
    action = "/account/sessions/end-others"
    done = visitor.follow(visitor.submit(visitor.get("/account"), action))
    assert "All other sign-ins are ended." in done.text
    assert [one.get("/account").status for one in others] == [303, 303]
    assert action not in done.html


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        (ON_IPHONE, "Chrome on iPhone"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (Linux; Android 16) something", "Unknown browser on Android"),
        ("tool/1.0 <script>", "tool"),
        ("", ""),
    ],
)
def test_browsers_have_names(agent: str, name: str) -> None:
    """What a browser calls itself is told as people call it."""
    assert browser(agent) == name


async def test_a_browser_without_a_name(cast: Cast) -> None:
    """A browser that says nothing of itself is listed as unknown."""
    person = await cast.person()
    await cast.books.sessions.begin(person.id, "203.0.113.8", "", "oidc")
    assert "Unknown browser" in (await cast.signed_in(person)).get("/account").text
