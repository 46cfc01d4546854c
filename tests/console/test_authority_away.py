"""The key authority is away: pages say so, and nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console import security
from console.people import Role
from console.security import SESSION
from tests.console.people_in_it import Cast
from tests.console.test_secret_once import keys_of, secret_in
from tests.console.visiting import Visitor
from tests.e2e.edge import Edge
from tests.e2e.processes import eventually


class Authority:
    """The one everybody uses, which a test may stop; it is back when the test is over."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def stop(self) -> None:
        self._edge.authority.stop()

    def start(self, browser: Visitor) -> None:
        """Starts it again, and returns when the console has noticed."""
        if not self._edge.authority.is_running():
            self._edge.recover_authority()
        eventually("the console is ready", lambda: browser.get("/readyz").status == 200)


@pytest.fixture
def authority(edge: Edge, cast: Cast) -> Iterator[Authority]:
    authority = Authority(edge)
    try:
        yield authority
    finally:
        authority.start(cast.console.visitor())


async def test_pages_of_a_workspace_say_so(cast: Cast, authority: Authority) -> None:
    """503, what it means for keys, and a way to try again; the people's own pages go on."""
    browser = await cast.visitor(Role.OWNER)
    authority.stop()
    credits_pages = ("credits", "credits/entries", "credits/statement", "credits/statement/csv")
    for page in ("keys", "keys/new", *credits_pages, "activity", "members"):
        shown = browser.get(f"/workspaces/{cast.workspace}/{page}")
        assert shown.status == 503, page
        assert "The key authority is unavailable" in shown.text
        assert "Try again" in shown.text
    assert browser.get("/readyz").status == 503
    assert browser.get("/healthz").status == 200
    assert browser.get("/account").status == 200
    authority.start(browser)
    assert browser.get(f"/workspaces/{cast.workspace}/keys").status == 200


async def test_a_new_key_is_made_once_however_often_it_was_tried(
    cast: Cast, authority: Authority
) -> None:
    """The form comes back with all that was typed; sent again when it is back, it makes one key."""
    browser = await cast.visitor(Role.MEMBER)
    path = f"/workspaces/{cast.workspace}/keys/new"
    page = browser.get(path)
    authority.stop()
    typed = {"name": "billing", "expires": "never", "access": "limited", "scopes": "ours:read"}
    for _ in range(2):
        page = browser.submit(page, path, **typed, scope=["models:read", "chat:write"])
        assert page.status == 503
        assert "Nothing you typed is lost" in page.text
        ticked = {("scope", "models:read"), ("scope", "chat:write")}
        assert {*typed.items(), *ticked} <= set(page.form(path).fields)
        assert "Acme" in page.text
    authority.start(browser)
    made = browser.submit(page, path)
    assert secret_in(made)
    assert keys_of(cast, browser) == 1


async def test_a_revocation_that_could_not_be_made_is_not_said_to_be(
    cast: Cast, authority: Authority
) -> None:
    """Reason and note stay in the form; the key works until the form gets through."""
    browser = await cast.visitor(Role.MEMBER)
    key, secret = cast.console.edge.operator.issue(cast.workspace)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/revoke"
    page = browser.get(path)
    authority.stop()
    shown = browser.submit(page, path, reason="compromised", note="seen in a log")
    assert shown.status == 503
    assert {("reason", "compromised"), ("note", "seen in a log")} <= set(shown.form(path).fields)
    assert "test" in shown.text
    authority.start(browser)
    assert cast.console.edge.operator.verify(secret) == "VERDICT_VALID"
    assert "Stopped everywhere" in browser.submit(shown, path).text
    assert cast.console.edge.operator.verify(secret) == "VERDICT_REVOKED"


async def test_rotating_and_editing_lose_nothing_either(cast: Cast, authority: Authority) -> None:
    """What was chosen and typed stands in the form again."""
    browser = await cast.visitor(Role.MEMBER)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    href = f"/workspaces/{cast.workspace}/keys/{key.id}"
    rotate, edit = browser.get(f"{href}/rotate"), browser.get(f"{href}/edit")
    authority.stop()
    shown = browser.submit(rotate, f"{href}/rotate", overlap="7d")
    assert shown.status == 503
    assert ("overlap", "7d") in shown.form(f"{href}/rotate").fields
    edited = browser.submit(edit, f"{href}/edit", name="another name", expires="30d")
    assert edited.status == 503
    assert {("name", "another name"), ("expires", "30d")} <= set(edited.form(f"{href}/edit").fields)
    authority.start(browser)
    assert secret_in(browser.submit(shown, f"{href}/rotate"))
    saved = browser.follow(browser.submit(edited, f"{href}/edit"))
    # The rotation was a change that this form knew nothing of.
    assert "Somebody else changed this key" in saved.text
    saved = browser.follow(browser.submit(saved, f"{href}/edit"))
    assert "Saved." in saved.text
    assert "another name" in saved.text


async def test_credits_are_added_once_however_often_it_was_tried(
    cast: Cast, authority: Authority
) -> None:
    """The form comes back with all that was typed; sent again when it is back, it adds once."""
    browser = await cast.visitor(administrator=True)
    path = f"/administration/workspaces/{cast.workspace}/top-up"
    page = browser.get(path)
    authority.stop()
    assert browser.get(path).status == 503
    typed = {"amount": "2.5", "purchase_id": "invoice-7", "note": "by bank"}
    for _ in range(2):
        page = browser.submit(page, path, **typed)
        assert page.status == 503
        assert "Nothing you typed is lost" in page.text
        assert set(typed.items()) <= set(page.form(path).fields)
    authority.start(browser)
    for _ in range(2):
        assert "has 2.50 credits now" in browser.submit(page, path).text


async def test_a_foreign_key_is_not_named_while_the_authority_is_away(
    cast: Cast, authority: Authority
) -> None:
    """What somebody else saw of a key of theirs isn't told to who guesses its id."""
    theirs = Cast(cast.console, cast.books, cast.console.edge.operator.workspace("Other"))
    key, _ = cast.console.edge.operator.issue(theirs.workspace)
    owner = await theirs.visitor(Role.OWNER)
    assert "test" in owner.get(f"/workspaces/{theirs.workspace}/keys/{key.id}/revoke").text
    browser = await cast.visitor(Role.MEMBER)
    path = f"/workspaces/{cast.workspace}/keys/{key.id}/revoke"
    authority.stop()
    fields = {"csrf": security.form_token(browser.cookies[SESSION]), "reason": "", "note": ""}
    shown = browser.post(path, fields)
    assert shown.status == 422
    assert key.id in shown.text
    assert "Revoke test" not in shown.text
