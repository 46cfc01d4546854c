"""A secret exists in the answer to the form that made it, and nowhere else."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from console import security
from console.people import Role, open_people
from console.security import SESSION
from tests.console.living import Console
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown, Visitor

SECRET = re.compile(r"sk-optk-[0-9A-Za-z]{65}")


def secret_in(shown: Shown) -> str:
    """The one secret on the page; empty if there is none."""
    found = set(SECRET.findall(shown.html))
    assert len(found) <= 1
    return found.pop() if found else ""


def creating(cast: Cast, browser: Visitor, name: str = "billing") -> list[tuple[str, str]]:
    """The fields of a form for a new key, as they are sent."""
    path = f"/workspaces/{cast.workspace}/keys/new"
    form = browser.get(path).form(path)
    return [(key, value) for key, value in form.fields if key != "name"] + [("name", name)]


def new_path(cast: Cast) -> str:
    return f"/workspaces/{cast.workspace}/keys/new"


def keys_of(cast: Cast, browser: Visitor) -> int:
    shown = browser.get(f"/workspaces/{cast.workspace}/keys?state=all")
    return shown.html.count("<tr data-row>")


async def test_it_is_shown_with_all_there_is_to_do_with_it(cast: Cast, console: Console) -> None:
    """The secret, the export line and the guide's examples for this API, and the key works."""
    browser = await cast.visitor(Role.MEMBER)
    shown = browser.post(new_path(cast), creating(cast, browser))
    assert shown.status == 200
    secret = secret_in(shown)
    assert shown.element("secret") == secret
    assert shown.element("snippet-export") == f'export OPENTOKEN_API_KEY="{secret}"'
    for language in ("curl", "python", "node"):
        snippet = shown.element(f"snippet-{language}")
        assert f"{console.edge.url}/v1" in snippet
        assert secret not in snippet
    assert shown.header("cache-control") == ["no-store"]
    assert console.edge.operator.verify(secret) == "VERDICT_VALID"


async def test_a_reload_makes_no_second_key_and_loses_nothing(cast: Cast) -> None:
    """The same form again, as a reload or a second click sends it, shows the same secret."""
    browser = await cast.visitor(Role.MEMBER)
    fields = creating(cast, browser)
    first = browser.post(new_path(cast), fields)
    again = browser.post(new_path(cast), fields)
    assert secret_in(first) == secret_in(again) != ""
    assert keys_of(cast, browser) == 1


async def test_two_at_once_make_one_key(cast: Cast) -> None:
    """A double click that arrives as two requests at the same time makes one key, shown in both."""
    browser = await cast.visitor(Role.MEMBER)
    fields = creating(cast, browser)
    both = await asyncio.gather(
        *(asyncio.to_thread(browser.post, new_path(cast), fields) for _ in range(2))
    )
    assert {secret_in(shown) for shown in both} == {secret_in(both[0])} != {""}
    assert keys_of(cast, browser) == 1


@pytest.mark.parametrize("away", ["/workspaces", "/account", "/workspaces/{workspace}/keys/new"])
async def test_whoever_went_elsewhere_does_not_get_it_back(away: str, cast: Cast) -> None:
    """After any other page the form sent again, as the back button would, shows no secret."""
    browser = await cast.visitor(Role.MEMBER)
    fields = creating(cast, browser)
    assert secret_in(browser.post(new_path(cast), fields))
    browser.get(away.format(workspace=cast.workspace))
    again = browser.post(new_path(cast), fields)
    assert again.status == 409
    assert not secret_in(again)
    assert "done already" in again.text
    assert keys_of(cast, browser) == 1


async def test_i_have_stored_it_ends_it(cast: Cast) -> None:
    """The button leads to the list, which says that the key works; the secret is gone."""
    browser = await cast.visitor(Role.MEMBER)
    fields = creating(cast, browser)
    shown = browser.post(new_path(cast), fields)
    action = next(form.action for form in shown.read.forms if form.action.endswith("/stored"))
    listed = browser.follow(browser.submit(shown, action))
    assert "won’t be shown again" in listed.text
    assert not secret_in(listed)
    assert not secret_in(browser.post(new_path(cast), fields))


async def test_no_other_page_has_it(cast: Cast) -> None:
    """The key's own page, the list and the activity show the hint alone."""
    browser = await cast.visitor(Role.OWNER)
    browser.post(new_path(cast), creating(cast, browser))
    workspace = f"/workspaces/{cast.workspace}"
    listed = browser.get(f"{workspace}/keys")
    [href] = set(re.findall(rf"{workspace}/keys/key_[0-9A-Za-z]+(?=\")", listed.html))
    for path in (f"{workspace}/keys", href, f"{href}/edit", f"{workspace}/activity"):
        shown = browser.get(path)
        assert shown.status == 200
        assert not SECRET.search(shown.html)
    assert re.search(r"sk-optk-[0-9A-Za-z]{4}…[0-9A-Za-z]{4}", listed.html)


async def test_nobody_else_gets_it_by_the_same_form(cast: Cast) -> None:
    """The request id of a form is worth nothing in another session, not even the same person's."""
    person = await cast.person(Role.MEMBER)
    browser, elsewhere = await cast.signed_in(person), await cast.signed_in(person)
    stranger = await cast.visitor(Role.MEMBER)
    fields = creating(cast, browser)
    secret = secret_in(browser.post(new_path(cast), fields))
    for other in (elsewhere, stranger):
        stolen = [pair for pair in fields if pair[0] != "csrf"]
        stolen.append(("csrf", security.form_token(other.cookies[SESSION])))
        assert secret_in(other.post(new_path(cast), stolen)) != secret


async def test_a_form_without_a_request_id_makes_nothing(cast: Cast) -> None:
    """One that no page of ours can have shown is not carried out."""
    browser = await cast.visitor(Role.MEMBER)
    for broken in ("", "short", "x" * 65, "has a space in it!!!!"):
        fields = [pair for pair in creating(cast, browser) if pair[0] != "request_id"]
        shown = browser.post(new_path(cast), [*fields, ("request_id", broken)])
        assert shown.status == 409
    assert keys_of(cast, browser) == 0


async def test_the_log_holds_neither_secrets_nor_cookies(cast: Cast) -> None:
    """What the console writes names pages and people, and nothing that opens anything."""
    browser = await cast.visitor(Role.MEMBER)
    secret = secret_in(browser.post(new_path(cast), creating(cast, browser)))
    log = cast.console.process.stderr.read_text()
    assert "/workspaces/{workspace}/keys/new" in log
    assert secret not in log
    assert secret[20:] not in log
    assert browser.cookies[SESSION] not in log


async def test_rotating_shows_the_new_secret_once(cast: Cast) -> None:
    """The old one goes on for the overlap that was chosen, and a second send shows the same again."""
    browser = await cast.visitor(Role.MEMBER)
    operator = cast.console.edge.operator
    key, old = operator.issue(cast.workspace)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/rotate"
    page = browser.get(path)
    fields = [pair for pair in page.form(path).fields if pair[0] != "overlap"]
    fields.append(("overlap", "24h"))
    shown = browser.post(path, fields)
    new = secret_in(shown)
    assert new not in ("", old)
    assert "The old secret works until" in shown.text
    assert operator.verify(old) == operator.verify(new) == "VERDICT_VALID"
    assert secret_in(browser.post(path, fields)) == new
    browser.get("/workspaces")
    assert not secret_in(browser.post(path, fields))
    assert operator.verify(new) == "VERDICT_VALID"


async def test_rotating_with_no_overlap_stops_the_old_secret_at_once(cast: Cast) -> None:
    """The page says where it has stopped, and it has."""
    browser = await cast.visitor(Role.MEMBER)
    operator = cast.console.edge.operator
    key, old = operator.issue(cast.workspace)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/rotate"
    shown = browser.submit(browser.get(path), path, overlap="0")
    assert "Stopped everywhere in" in shown.text
    assert operator.verify(old) == "VERDICT_REVOKED"
    assert operator.verify(secret_in(shown)) == "VERDICT_VALID"


async def test_a_form_of_unknown_outcome_never_says_done(cast: Cast) -> None:
    """A rotation that was begun and is too old to be known is not said to be made: nothing stopped."""
    browser = await cast.visitor(Role.MEMBER)
    operator = cast.console.edge.operator
    key, old = operator.issue(cast.workspace)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/rotate"
    page = browser.get(path)
    session = await cast.books.sessions.find(browser.cookies[SESSION])
    assert session is not None
    [request_id] = [value for name, value in page.form(path).fields if name == "request_id"]
    long_ago = datetime.now(UTC) - timedelta(minutes=11)
    async with open_people(cast.console.database, lambda: long_ago) as books:
        await books.submissions.begin(session.id, request_id, f"rotate {key.id}", cast.workspace)
    shown = browser.submit(page, path, overlap="0")
    assert shown.status == 409
    assert "Nothing was done just now" in shown.text
    assert operator.verify(old) == "VERDICT_VALID"
    again = browser.submit(shown, path)
    assert operator.verify(old) == "VERDICT_REVOKED"
    assert operator.verify(secret_in(again)) == "VERDICT_VALID"
