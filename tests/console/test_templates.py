"""Every page with sample data, in a real browser under the real policy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from console.rendering import Assets
from tests.console.browser import chromium
from tests.console.sample_data import IMAGE, SCRIPT, SECRET
from tests.console.samples import PAGES
from tests.console.showing import rendered, showing
from tests.node import FOLDER, node_with_packages

OPEN = "for (const fold of document.querySelectorAll('details')) fold.open = true"
VIOLATIONS = "(options) => axe.run(options).then((results) => results.violations)"
NAMES = [page.name for page in PAGES]
RULES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {},
    # The schemes differ in nothing but colours.
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"]},
}
"""How axe is run in each colour scheme."""


def axe() -> str:
    """Return the source of axe-core; skip the test if it can't be had."""
    node_with_packages()
    return (FOLDER / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with showing() as origin:
        yield origin


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def narrow(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    yield context
    context.close()


@pytest.fixture
def page(narrow: BrowserContext) -> Iterator[Page]:
    page = narrow.new_page()
    yield page
    page.close()


@pytest.mark.timeout(600)
def test_nothing_is_in_the_way_of_anybody(browser: Browser, origin: str) -> None:
    """axe-core finds no violation on any page, in light and in dark."""
    source = axe()
    # axe is code from elsewhere, which the pages' own policy would rightly refuse.
    # Without motion, the colours of a scheme are there at once.
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    found: dict[str, Any] = {}
    page = context.new_page()
    for name in NAMES:
        page.goto(f"{origin}/{name}")
        page.evaluate(OPEN)
        page.evaluate(source)
        for scheme, options in RULES.items():
            page.emulate_media(color_scheme=scheme)
            violations = page.evaluate(VIOLATIONS, options)
            if violations:
                found[f"{name}, {scheme}"] = [
                    (v["id"], [n["html"][:200] for n in v["nodes"]]) for v in violations
                ]
    context.close()
    assert found == {}, json.dumps(found, indent=1)


def test_the_schemes_differ_in_colours_alone() -> None:
    """What depends on the colour scheme is the values that the style sheet names, and no rule."""
    files = [asset.body.decode() for asset in Assets() if asset.content_type.startswith("text/")]
    texts = [*files, *rendered().values()]
    blocks = [block for text in texts for block in text.split("prefers-color-scheme")[1:]]
    assert len(blocks) == 1
    assert re.match(r": dark\) \{\s*:root \{\s*(--[\w-]+: [^;{}]+;\s*)+\}\s*\}", blocks[0])


@pytest.mark.timeout(300)
def test_pages_obey_the_policy_and_fit(page: Page, origin: str) -> None:
    """No page asks for what the policy forbids, runs what was typed, or is wider than 360 px."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    wide: list[str] = []
    for name in NAMES:
        page.goto(f"{origin}/{name}")
        page.evaluate(OPEN)
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide.append(name)
    assert said == []
    assert wide == []


class Outline(HTMLParser):
    """The levels of the headings of a page, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"h1", "h2", "h3"}:
            self.levels.append(int(tag[1]))
        self.ids += [value or "" for name, value in attrs if name == "id"]


@pytest.mark.parametrize("name", NAMES)
def test_headings_are_in_order(name: str) -> None:
    """A page has one title, skips no level of heading, and repeats no id."""
    outline = Outline(rendered()[name])
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(outline.levels))
    assert len(outline.ids) == len(set(outline.ids))


def test_markup_is_text() -> None:
    """No page has what people typed as anything but text."""
    for name, text in rendered().items():
        assert SCRIPT not in text, name
        assert IMAGE not in text, name
        assert " style=" not in text, name
        assert "<style" not in text, name


def test_the_secret_is_copied_whole(browser: Browser, origin: str) -> None:
    """The button copies the secret and says so, on the button and to screen readers."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{origin}/key_secret")
    secret = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Copy key").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.locator("#said").inner_text() == "Copied"
    assert page.evaluate("navigator.clipboard.readText()") == secret
    context.close()


def test_typing_filters_the_rows(page: Page, origin: str) -> None:
    """Rows without what is typed leave the page; what nothing matches is said."""
    page.goto(f"{origin}/keys")
    rows = page.locator("[data-row]:visible")
    everything = rows.count()
    page.get_by_role("searchbox").fill("SUPPORT")
    assert rows.count() == 1
    page.get_by_role("searchbox").fill("nothing like it")
    assert rows.count() == 0
    assert page.locator("#key-rows-none").is_visible()
    page.get_by_role("searchbox").fill("")
    assert rows.count() == everything


@pytest.mark.parametrize(("name", "field"), [("keys", "q"), ("activity", "subject")])
def test_a_secret_that_is_looked_for_is_not_sent(
    page: Page, origin: str, name: str, field: str
) -> None:
    """Only how it begins leaves the browser, which is how its key's hint begins too."""
    page.goto(f"{origin}/{name}")
    page.locator(f"#{field}").fill(f'"{SECRET}"')
    with page.expect_request(lambda request: f"{field}=" in request.url) as sent:
        page.locator(f"#{field}").press("Enter")
    assert parse_qs(urlsplit(sent.value.url).query)[field] == ["sk-optk-Ab12"]


def test_a_form_is_sent_once(page: Page, origin: str) -> None:
    """Pressing a button twice before the answer comes sends one request."""
    page.goto(f"{origin}/key_rotate")
    sent = page.evaluate(
        """() => {
          let sent = 0;
          const form = document.querySelector("main form");
          addEventListener("submit", (event) => {
            if (!event.defaultPrevented) sent += 1;
            event.preventDefault();
          });
          const button = form.querySelector("button.primary");
          button.click();
          button.click();
          return sent;
        }"""
    )
    assert sent == 1


def test_passwords_can_be_looked_at(page: Page, origin: str) -> None:
    """A password is hidden until the person asks to see it."""
    page.goto(f"{origin}/sign_in")
    field = page.locator("#password")
    assert field.get_attribute("type") == "password"
    page.get_by_role("button", name="Show the password").click()
    assert field.get_attribute("type") == "text"


@pytest.mark.parametrize(
    ("name", "shown"), [("key", "23 Jan 2027, 04:39"), ("key_of_seoul", "23 Jan 2027, 12:39 KST")]
)
def test_times_are_in_the_readers_zone(
    browser: Browser, origin: str, name: str, shown: str
) -> None:
    """A time is in the browser's zone, or in the one that the person chose."""
    context = browser.new_context(timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(f"{origin}/{name}")
    assert page.locator("main time").first.inner_text().startswith(shown)
    context.close()


def test_without_a_script_nothing_is_dead(browser: Browser, origin: str) -> None:
    """Where scripts are off, no button is shown that needs one."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{origin}/key_secret")
    assert page.locator("[data-copy]:visible").count() == 0
    assert page.get_by_role("button", name="I have stored it").is_visible()
    context.close()
