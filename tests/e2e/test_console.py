"""The console as people use it: a real browser, the real SDK, a real gateway.

With `CONSOLE_SHOTS` set to a folder, what the browser showed on the way is kept there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from tests.console.browser import chromium
from tests.console.living import PASSWORD, Console
from tests.e2e.edge import Edge

SECRET = re.compile(r"sk-optk-[0-9A-Za-z]{65}")
QUICK = 10_000.0
"""Milliseconds that a page may take on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def own_console(own_edge: Edge, tmp_path: Path) -> Iterator[Console]:
    """A console that nobody owns yet, over an authority with one workspace."""
    own_edge.operator.workspace("Demo")
    console = Console(own_edge, tmp_path / "console")
    try:
        yield console
    finally:
        console.stop()


class Person:
    """Somebody at a browser, who counts clicks."""

    def __init__(self, context: BrowserContext, name: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(QUICK)
        self.clicks = 0
        self._name, self._shots = name, 0
        self.complaints: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, said: ConsoleMessage) -> None:
        # That a page was refused is expected where it is, and on a slow machine we type before the page
        # has put the cursor anywhere; the policy must never be in the way.
        if not said.text.startswith(
            ("Failed to load resource: the server responded", "Autofocus processing was blocked")
        ):
            self.complaints.append(said.text)

    def press(self, text: str) -> None:
        """Clicks the button or link of that name."""
        self.clicks += 1
        either = self.page.get_by_role("button", name=text, exact=True)
        either.or_(self.page.get_by_role("link", name=text, exact=True)).first.click()
        self.page.wait_for_load_state()

    def type(self, **fields: str) -> None:
        """Fills in fields by their labels' first words."""
        for label, text in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=False).first.fill(text)

    def reads(self, text: str) -> None:
        """Sees that the page says so."""
        expect(self.page.locator("body")).to_contain_text(text, timeout=QUICK)

    def secret(self) -> str:
        shown = self.page.locator("#secret").inner_text()
        assert SECRET.fullmatch(shown), "no secret is shown"
        return shown

    def sees_a_secret(self) -> bool:
        while True:
            try:
                return SECRET.search(self.page.content()) is not None
            except Error:  # It is just being replaced.
                self.page.wait_for_timeout(50)

    def shot(self, what: str) -> None:
        """Keeps what is to be seen now, if a folder is named."""
        folder = os.environ.get("CONSOLE_SHOTS")
        if folder:
            self._shots += 1
            path = Path(folder) / f"{self._name}-{self._shots:02}-{what}.png"
            self.page.screenshot(path=path, full_page=True)


def api(edge: Edge, secret: str) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{edge.url}/v1", api_key=secret, http_client=http, max_retries=0)


def works(edge: Edge, secret: str) -> bool:
    """Whether the official SDK is answered; a refusal has to be the one for a revoked key."""
    with api(edge, secret) as client:
        try:
            answer = client.chat.completions.create(
                model="google/gemini-3-flash", messages=[{"role": "user", "content": "Hello"}]
            )
        except openai.AuthenticationError as error:
            if error.code != "invalid_key":
                raise
            return False
        return "You said: Hello" in str(answer.choices[0].message.content)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_whole_story(browser: Browser, own_console: Console, script: bool) -> None:
    """From the first link to a key that works, is rotated, leaks, and is refused the moment after."""
    context = browser.new_context(
        java_script_enabled=script, viewport={"width": 1280, "height": 800}
    )
    elsewhere = browser.new_context(
        java_script_enabled=script, viewport={"width": 360, "height": 740}
    )
    if script:
        allowed = ["clipboard-read", "clipboard-write"]
        context.grant_permissions(allowed, origin=own_console.url)
    olga = Person(context, "script" if script else "plain")
    vera = Person(elsewhere, "vera-script" if script else "vera-plain")

    secret = makes_a_first_key(olga, own_console, script=script)
    goes_on_from_the_secret(olga, own_console, secret)
    second = rotates(olga, own_console.edge, secret)
    revokes_what_leaked(olga, own_console.edge, secret, second)
    looks_who_did_what(olga)
    invites_and_removes(olga, vera)
    suspends_and_resumes(olga, own_console)
    signs_out_and_in(olga, own_console)

    assert olga.complaints == vera.complaints == []
    context.close()
    elsewhere.close()


def makes_a_first_key(olga: Person, console: Console, *, script: bool) -> str:
    """A newcomer with nothing but the link that `make run` prints: a minute and five clicks."""
    begun = time.monotonic()
    olga.page.goto(console.url + console.setup_path)
    olga.shot("set up")
    olga.type(**{"E-mail": "olga@example.com", "Your name": "Olga", "Password": PASSWORD})
    olga.press("Create my account")
    olga.reads("No keys yet")
    olga.shot("no keys")
    olga.press("Create the first key")
    olga.type(Name="billing worker")
    olga.shot("create")
    olga.press("Create key")
    olga.reads("Copy it now")
    secret = olga.secret()
    if script:
        olga.press("Copy key")
        expect(olga.page.locator("#said")).to_contain_text("opied")
        assert olga.page.evaluate("navigator.clipboard.readText()") == secret
    assert works(console.edge, secret)
    assert olga.clicks <= 5
    assert time.monotonic() - begun < 60
    olga.reads("If it leaks")
    olga.reads(f'export OPENTOKEN_API_KEY="{secret}"')
    olga.shot("secret")
    return secret


def goes_on_from_the_secret(olga: Person, console: Console, secret: str) -> None:
    """A reload makes no second key; going elsewhere and back brings nothing back."""
    olga.page.reload()
    assert olga.secret() == secret
    olga.press("I have stored it")
    olga.reads("won’t be shown again")
    assert not olga.sees_a_secret()
    with suppress(Error):  # The browser asks whether to send the form again.
        olga.page.go_back()
    assert not olga.sees_a_secret()
    with suppress(Error):  # Yes.
        olga.page.reload()
    assert not olga.sees_a_secret()
    olga.page.goto(console.url)
    assert olga.page.locator("tr[data-row]").count() == 1
    olga.shot("keys")


def rotates(olga: Person, edge: Edge, secret: str) -> str:
    """A new secret, with the old one going on."""
    olga.press("billing worker")
    olga.shot("key")
    olga.press("Rotate")
    olga.shot("rotate")
    olga.page.get_by_label("24 hours").check()
    olga.press("Rotate key")
    second = olga.secret()
    olga.reads("The old secret works until")
    assert works(edge, secret)
    assert works(edge, second)
    olga.press("I have stored it")
    return second


def revokes_what_leaked(olga: Person, edge: Edge, *secrets: str) -> None:
    """The moment the page is there nothing accepts the key; a replacement is two presses away."""
    olga.press("billing worker")
    olga.press("Revoke")
    olga.page.get_by_label("It leaked, or may have").check()
    olga.type(What_happened="It stood in a log.")
    olga.shot("revoke")
    olga.press("Revoke key")
    assert not any(works(edge, secret) for secret in secrets)
    olga.reads("Stopped everywhere in")
    olga.reads("confirmed")
    olga.shot("revoked")
    olga.press("Create a replacement")
    expect(olga.page.get_by_label("Name").first).to_have_value("billing worker")
    olga.press("Create key")
    assert works(edge, olga.secret())
    olga.press("I have stored it")


def looks_who_did_what(olga: Person) -> None:
    olga.press("Activity")
    olga.reads("revoked the key")
    olga.reads("olga@example.com")
    olga.shot("activity")


def invites_and_removes(olga: Person, vera: Person) -> None:
    """Somebody joins by a link, looks and may do no more, and is out the moment she is removed."""
    olga.press("Members")
    olga.type(**{"E-mail": "vera@example.com"})
    olga.page.get_by_label("Viewer").check()
    olga.press("Create invitation")
    link = olga.page.locator("#link").inner_text()
    olga.shot("invited")
    vera.page.goto(link)
    vera.shot("invitation")
    vera.type(**{"Your name": "Vera", "Password": PASSWORD})
    vera.press("Create my account and join")
    vera.reads("billing worker")
    assert vera.page.get_by_role("link", name="Create key").count() == 0
    vera.shot("keys")
    olga.press("Back to members")
    olga.shot("members")
    olga.page.get_by_role("link", name="Remove Vera").click()
    olga.press("Remove member")
    olga.reads("Vera is removed")
    vera.page.reload()
    vera.reads("Not found")


def suspends_and_resumes(olga: Person, console: Console) -> None:
    """The whole workspace stops, and goes on."""
    olga.page.goto(f"{console.url}/administration")
    olga.shot("administration")
    olga.page.get_by_role("link", name="Suspend Demo").click()
    olga.press("Suspend workspace")
    olga.reads("Stopped everywhere in")
    olga.press("Back to workspaces")
    olga.page.get_by_role("button", name="Resume: Demo").click()
    olga.reads("is resumed")


def signs_out_and_in(olga: Person, console: Console) -> None:
    olga.page.locator("summary").last.click()
    olga.press("Sign out")
    olga.reads("You are signed out")
    olga.page.goto(console.url)
    olga.reads("Sign in")
    olga.type(**{"E-mail": "olga@example.com", "Password": PASSWORD})
    olga.press("Sign in")
    olga.reads("API keys")


@pytest.mark.timeout(60)
def test_another_site_can_neither_frame_nor_post(browser: Browser, own_console: Console) -> None:
    """A page elsewhere that frames the console shows nothing of it; its form does nothing."""
    own_console.first_owner()
    context = browser.new_context()
    olga = Person(context, "framed")
    olga.page.goto(f"{own_console.url}/sign-in")
    olga.type(**{"E-mail": "owner@example.com", "Password": PASSWORD})
    olga.press("Sign in")
    home = olga.page.url
    # The same machine by another name is another site to a browser.
    elsewhere = own_console.url.replace("127.0.0.1", "localhost")
    olga.page.route(
        f"{elsewhere}/evil",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<iframe src="{home}"></iframe>'
            f'<form method="post" action="{own_console.url}/sign-out"><button>Win</button></form>',
        ),
    )
    olga.page.goto(f"{elsewhere}/evil")
    olga.page.wait_for_timeout(300)
    assert "API keys" not in "".join(frame.content() for frame in olga.page.frames[1:])
    olga.press("Win")
    olga.reads("didn’t come from a page of this console")
    olga.page.goto(home)
    olga.reads("API keys")
    context.close()
