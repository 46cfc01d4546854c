"""A browser without a screen: keeps cookies, reads forms, and sends what a page of ours would."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

from tests.console.markup import Element, page

FORM = "application/x-www-form-urlencoded"


@dataclass
class FormFound:
    """A form in a page: where it goes and what stands in it."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[FormFound] = []
        self.text: list[str] = []
        self.ids: dict[str, list[str]] = {}
        self._within: list[str] = []
        self._area: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(FormFound(given.get("action", ""), given.get("method", "get")))
        elif self.forms and tag == "input":
            ticked = given.get("type") not in ("radio", "checkbox") or "checked" in given
            if ticked and "name" in given:
                self.forms[-1].fields.append((given["name"], given.get("value", "")))
        elif self.forms and tag == "textarea":
            self._area = given.get("name", "")
            self.forms[-1].fields.append((self._area, ""))
        elif self.forms and tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and self._select and "selected" in given:
            self.forms[-1].fields.append((self._select, given.get("value", "")))
        if "id" in given:
            self.ids[given["id"]] = []
            self._within.append(given["id"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None
        if tag in ("code", "pre", "p", "h1"):
            self._within.clear()

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        for name in self._within:
            self.ids[name].append(data)
        if self._area is not None and self.forms:
            name, text = self.forms[-1].fields.pop()
            self.forms[-1].fields.append((name, text + data))


@dataclass
class Shown:
    """An answer of the console."""

    status: int
    headers: list[tuple[str, str]]
    html: str
    path: str

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def location(self) -> str:
        """Where it sends the browser on to; empty if nowhere."""
        return next(iter(self.header("location")), "")

    @property
    def read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader

    @property
    def page(self) -> Element:
        """The page as a tree."""
        return page(self.html)

    @property
    def text(self) -> str:
        """What people read, with single spaces."""
        return " ".join(" ".join(self.read.text).split())

    def element(self, name: str) -> str:
        """The text of the element with that id."""
        return "".join(self.read.ids[name])

    def form(self, action: str) -> FormFound:
        """The form that goes to *action*."""
        found = [one for one in self.read.forms if urlsplit(one.action).path == action]
        assert found, (action, [one.action for one in self.read.forms], self.text[:500])
        return found[0]


class Visitor:
    """One browser."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self.agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"

    def get(self, path: str, headers: dict[str, str] | None = None) -> Shown:
        return self.send("GET", path, None, {"Sec-Fetch-Site": "same-origin", **(headers or {})})

    def post(
        self,
        path: str,
        fields: list[tuple[str, str]] | dict[str, str],
        headers: dict[str, str] | None = None,
    ) -> Shown:
        """Sends a form as the browser does from a page of ours; *headers* may say otherwise."""
        usual = {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin"}
        return self.send("POST", path, urlencode(fields), {**usual, **(headers or {})})

    def submit(self, page: Shown, action: str, **typed: str | list[str]) -> Shown:
        """Fills the form of *page* that goes to *action*, and sends it."""
        form = page.form(action)
        fields = [(name, value) for name, value in form.fields if name not in typed]
        for name, value in typed.items():
            values = value if isinstance(value, list) else [value]
            fields += [(name, one) for one in values]
        return self.post(form.action, fields)

    def follow(self, page: Shown) -> Shown:
        """Goes on for as long as it is sent on."""
        while page.status in (302, 303):
            page = self.get(page.location)
        return page

    def send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Shown:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"User-Agent": self.agent, **({"Cookie": cookie} if cookie else {}), **headers}
        try:
            connection.request(method, path, body, {k: v for k, v in sent.items() if v != "-"})
            answer = connection.getresponse()
            shown = Shown(answer.status, answer.getheaders(), answer.read().decode(), path)
        finally:
            connection.close()
        self.set_cookies = shown.header("set-cookie")
        for line in self.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return shown
