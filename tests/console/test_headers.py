"""The header fields that keep pages where they belong, on every kind of answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console import security
from console.people import Role
from console.security import SESSION, VISITOR
from tests.console.living import PASSWORD, Console
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown
from tests.e2e.edge import Edge

CSP = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
OTHERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def check(shown: Shown) -> None:
    [policy] = shown.header("content-security-policy")
    assert dict(one.strip().split(" ", 1) for one in policy.split(";")) == CSP
    for name, value in OTHERS.items():
        assert shown.header(name) == [value], name
    assert "server" not in {name.lower() for name, _ in shown.headers}


PAGES = (
    "/sign-in",
    "/welcome",
    "/setup/no-such-link",
    "/invitations/no-such-link",
    "/recovery/no-such-link",
    "/no-such-page",
    "/workspaces",
    "/workspaces/{workspace}/keys",
    "/workspaces/{workspace}/keys/new",
    "/workspaces/{workspace}/activity",
    "/workspaces/{workspace}/members",
    "/account",
    "/administration",
    "/administration/people",
    "/healthz",
    "/readyz",
)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_bears_them_and_is_kept_nowhere(path: str, cast: Cast) -> None:
    """Whoever asks: the strict policy, no frames, no referrer, and no copy in any cache."""
    stranger = cast.console.visitor()
    somebody = await cast.visitor(Role.OWNER, administrator=True)
    for browser in (stranger, somebody):
        shown = browser.get(path.format(workspace=cast.workspace))
        check(shown)
        assert shown.header("cache-control") == ["no-store"]


def test_static_files_are_kept_for_ever_under_their_own_hash(console: Console) -> None:
    """The three files of a page bear the fields too; another hash is not there."""
    browser = console.visitor()
    files = re.findall(r'/static/[^"]+', browser.get("/sign-in").html)
    assert {name.rpartition(".")[2] for name in files} == {"css", "js", "svg"}
    for name in files:
        shown = browser.get(name)
        assert shown.status == 200
        check(shown)
        assert shown.header("cache-control") == ["public, max-age=31536000, immutable"]
        assert browser.get(re.sub(r"\.[0-9a-f]{12}\.", ".0123456789ab.", name)).status == 404
    assert browser.get("/static/../cli.py").status == 404


def test_a_method_that_is_none_is_told_which_there_are(console: Console) -> None:
    """405 with Allow, and the fields."""
    shown = console.visitor().send("DELETE", "/account", None, {})
    assert shown.status == 405
    assert shown.header("allow") == ["GET, POST"]
    check(shown)


def test_pages_load_nothing_from_elsewhere_and_have_nothing_inline(console: Console) -> None:
    """No script, style or handler stands in a page, and no address of another host."""
    html = console.visitor().get("/sign-in").html
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"(src|href|action)=\"(https?:)?//", html)


async def test_cookies_are_read_by_no_script_and_sent_to_no_other_host(console: Console) -> None:
    """The prefix that browsers enforce, Secure, HttpOnly, SameSite, for the whole host and no other."""
    browser = console.visitor()
    page = browser.get("/sign-in")
    [visitor] = browser.set_cookies
    browser.submit(page, "/sign-in", email="owner@example.com", password=PASSWORD)
    session = next(one for one in browser.set_cookies if one.startswith(SESSION))
    for cookie, name in ((visitor, VISITOR), (session, SESSION)):
        value, *flags = cookie.split("; ")
        assert value.startswith(f"{name}=")
        assert name.startswith("__Host-")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(flags)
        assert not any(flag.lower().startswith("domain") for flag in flags)
    assert f"Max-Age={7 * 24 * 3600}" in session


def test_a_head_is_answered_as_a_get_is(console: Console) -> None:
    """Monitors that ask for the head alone get the status and the fields, without the page."""
    browser = console.visitor()
    for path in ("/healthz", "/readyz", "/sign-in"):
        shown = browser.send("HEAD", path, None, {})
        assert shown.status == 200
        assert shown.html == ""
        check(shown)
    assert browser.send("HEAD", "/account", None, {}).status == 303


def test_behind_a_proxy_that_speaks_tls_browsers_are_told_to_stay_with_it(
    edge: Edge, tmp_path: Path
) -> None:
    """With an https public URL every answer says so, pages, files and refusals alike."""
    console = Console(edge, tmp_path / "proxied", "--public-url", "https://console.example.com")
    try:
        browser = console.visitor()
        css = re.findall(r'/static/[^"]+', browser.get("/sign-in").html)[0]
        for path in ("/sign-in", css, "/no-such-page", "/healthz"):
            assert browser.get(path).header("strict-transport-security"), path
        refused = browser.send("DELETE", "/account", None, {})
        assert refused.header("strict-transport-security")
    finally:
        console.stop()


async def test_no_link_makes_a_page_say_that_something_was_done(cast: Cast) -> None:
    """The notice of a page is for the browser that just did it, once: not for a link, not for a reload."""
    browser = await cast.visitor(Role.OWNER)
    page = f"/workspaces/{cast.workspace}/keys?done=paused"
    assert "is paused" not in browser.get(page).text
    saved = browser.submit(browser.get("/account"), "/account", name="Another Name", time_zone="")
    assert "Saved." in browser.get(saved.location).text
    assert "Saved." not in browser.get(saved.location).text


@pytest.mark.parametrize(
    "done",
    [
        "x;%20Domain=evil.example",
        "x;Secure",
        "x%0d%0aSet-Cookie:%20a=b",
        "%00",
        "no-such-notice",
        "stored",
    ],
)
async def test_the_front_page_keeps_nothing_that_a_link_names(done: str, cast: Cast) -> None:
    """What was done is named by this side alone: no link puts anything into a cookie or an address."""
    browser = await cast.visitor(Role.OWNER)
    shown = browser.get(f"/?done={done}")
    assert (shown.status, shown.location) == (303, f"/workspaces/{cast.workspace}/keys")
    assert not any("notice" in line for line in browser.set_cookies)


@pytest.mark.parametrize("value", ["a;b", "a b", "a\r\nb", "a,b", '"', "\\", "\0", "\u00e9"])
def test_no_cookie_takes_what_would_not_stay_within(value: str) -> None:
    """It would end the cookie, or the header."""
    with pytest.raises(ValueError, match="cookie"):
        security.set_cookie("name", value)


async def test_the_address_of_a_form_leads_to_its_page(cast: Cast) -> None:
    """Opened by hand, an address that only forms are sent to leads to the page above it."""
    browser = await cast.visitor(Role.OWNER, administrator=True)
    workspace = f"/workspaces/{cast.workspace}"
    for path, page in (
        ("/account/password", "/account"),
        ("/administration/workspaces", "/administration"),
        (f"{workspace}/members/person_0123456789ABCDEF/role", f"{workspace}/members"),
        (f"{workspace}/invitations/invitation_0123456789ABCDEF/withdraw", "/workspaces"),
    ):
        shown = browser.get(path)
        assert (shown.status, shown.location) == (303, page)


async def test_a_form_sent_after_the_sign_in_ended_is_not_lost_without_a_word(cast: Cast) -> None:
    """Whoever sends it is told that nothing was done, and comes back to it."""
    browser = await cast.visitor(Role.MEMBER)
    path = f"/workspaces/{cast.workspace}/keys/new"
    page = browser.get(path)
    browser.cookies[SESSION] = "ended"
    shown = browser.follow(browser.submit(page, path, name="late"))
    assert "nothing was done" in shown.text
    assert ("next", path) in shown.form("/sign-in").fields
