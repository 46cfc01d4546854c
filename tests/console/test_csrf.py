"""What another site has a browser send is refused, by two rules that do not need one another."""

from __future__ import annotations

import socket

import pytest

from console import security
from console.people import Role
from console.routes import ROUTES
from console.security import SESSION
from tests.console.people_in_it import Cast
from tests.console.visiting import Visitor
from tests.e2e.processes import eventually

FORMS = [route for route in ROUTES if route.method == "POST"]


def names(cast: Cast, path: str) -> str:
    return path.format(
        workspace=cast.workspace,
        key="key_0123456789ABCDEF",
        person="person_0123456789ABCDEF",
        invitation="invitation_0123456789ABCDEF",
        session="session_0123456789ABCDEF",
        token="no-such-link",
    )


def create_key(cast: Cast, browser: Visitor, headers: dict[str, str], token: str = "") -> int:
    path = f"/workspaces/{cast.workspace}/keys/new"
    token = token or security.form_token(browser.cookies[SESSION])
    fields = {
        "csrf": token,
        "name": "k",
        "expires": "30d",
        "access": "full",
        "request_id": "r" * 20,
    }
    return browser.post(path, fields, headers).status


@pytest.mark.parametrize("route", FORMS, ids=[route.path for route in FORMS])
async def test_no_form_is_taken_from_another_site(route: object, cast: Cast) -> None:
    """With everything else right, every form is refused if the browser says where it came from."""
    assert isinstance(route, type(FORMS[0]))
    browser = await cast.visitor(Role.OWNER, administrator=True)
    token = {"csrf": security.form_token(browser.cookies[SESSION])}
    refused = browser.post(names(cast, route.path), token, {"Sec-Fetch-Site": "cross-site"})
    assert refused.status == 403
    assert "didn’t come from a page of this console" in refused.text


@pytest.mark.parametrize("route", FORMS, ids=[route.path for route in FORMS])
async def test_no_form_is_taken_without_its_token(route: object, cast: Cast) -> None:
    """With everything else right, every form is refused without the token of the session."""
    assert isinstance(route, type(FORMS[0]))
    browser = await cast.visitor(Role.OWNER, administrator=True)
    for token in ("", "0" * 64, security.form_token("another session")):
        refused = browser.post(names(cast, route.path), {"csrf": token})
        assert refused.status == 403, token
        assert "out of date" in refused.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "-"}, 403),
        ({"Sec-Fetch-Site": "-", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "-", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "-", "Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "ours"}, 403),
        ({"Sec-Fetch-Site": "-", "Origin": "ours"}, 200),
    ],
)
async def test_where_a_form_came_from(headers: dict[str, str], status: int, cast: Cast) -> None:
    """Only a page of ours: by Sec-Fetch-Site, from older browsers by Origin; nothing said, nothing done."""
    browser = await cast.visitor(Role.MEMBER)
    ours = {name: value.replace("ours", cast.console.url) for name, value in headers.items()}
    assert create_key(cast, browser, ours) == status


async def test_a_token_is_good_for_its_own_session_alone(cast: Cast) -> None:
    """Neither another person's token nor that of one's own other sign-in is taken."""
    person = await cast.person(Role.MEMBER)
    browser, elsewhere = await cast.signed_in(person), await cast.signed_in(person)
    other = security.form_token(elsewhere.cookies[SESSION])
    assert create_key(cast, browser, {}, other) == 403
    assert create_key(cast, elsewhere, {}, other) == 200


async def test_reading_changes_nothing_on_any_site(cast: Cast) -> None:
    """Links from elsewhere open pages, since no page that is only read does anything."""
    browser = await cast.visitor(Role.OWNER)
    path = f"/workspaces/{cast.workspace}/keys"
    assert browser.get(path, {"Sec-Fetch-Site": "cross-site"}).status == 200


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", "csrf=x", 415),
        ("application/json", "{}", 415),
        ("multipart/form-data; boundary=b", "--b--", 415),
        ("application/x-www-form-urlencoded", "a=" + "x" * 70_000, 413),
        ("application/x-www-form-urlencoded", "name=%ff", 400),
        ("application/x-www-form-urlencoded", "&".join("a=1" for _ in range(2_000)), 400),
    ],
)
async def test_what_is_no_form_is_said_to_be_none(
    content_type: str, body: str, status: int, cast: Cast
) -> None:
    """Other types, too much, and bytes that are no text are refused with their own status."""
    browser = await cast.visitor(Role.MEMBER)
    headers = {"Content-Type": content_type, "Sec-Fetch-Site": "same-origin"}
    shown = browser.send("POST", f"/workspaces/{cast.workspace}/keys/new", body, headers)
    assert shown.status == status
    assert "h1" in shown.html


async def test_a_form_that_breaks_off_is_no_fault_of_ours(cast: Cast) -> None:
    """A browser that leaves in the midst of a body is answered, to nobody, with 400."""
    browser = await cast.visitor(Role.MEMBER)
    head = (
        f"POST /workspaces/{cast.workspace}/keys/new HTTP/1.1\r\nHost: console\r\n"
        f"Cookie: {SESSION}={browser.cookies[SESSION]}\r\nSec-Fetch-Site: same-origin\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nname=a"
    )
    before = len(cast.console.process.log())
    with socket.create_connection(("127.0.0.1", cast.console.port)) as connection:
        connection.sendall(head.encode())

    def answered() -> list[int]:
        said = cast.console.process.log()[before:]
        return [line["status"] for line in said if line.get("method") == "POST"]

    assert eventually("it is answered", answered) == [400]


async def test_a_length_may_begin_with_thousands_of_zeros(cast: Cast) -> None:
    """It is a number all the same: the form is read, and found to lack its token."""
    browser = await cast.visitor(Role.MEMBER)
    head = (
        f"POST /workspaces/{cast.workspace}/keys/new HTTP/1.1\r\nHost: console\r\n"
        f"Cookie: {SESSION}={browser.cookies[SESSION]}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {'0' * 5000}6\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", cast.console.port)) as connection:
        connection.sendall(head.encode() + b"name=a")
        assert connection.recv(1024).startswith(b"HTTP/1.1 403 ")
