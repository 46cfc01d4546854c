"""Administrators stop people, and let them in again."""

from __future__ import annotations

import secrets

import pytest

from console import security
from console.paths import url
from console.people import Password, Person, Role
from console.security import SESSION
from tests.console.living import PASSWORD
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor

PEOPLE = url("administration_people")


@pytest.fixture
async def administrator(cast: Cast) -> Visitor:
    return await cast.visitor(administrator=True)


async def with_password(cast: Cast) -> Person:
    """Somebody with `PASSWORD`."""
    email = f"{secrets.token_hex(6)}@example.com"
    _, token = await cast.books.links.invite(NOBODY, cast.workspace, email, Role.MEMBER)
    return await cast.books.links.accept_invitation(token.reveal(), "Pia", Password(PASSWORD), "")


def sign_in(cast: Cast, person: Person, password: str = PASSWORD) -> Shown:
    visitor = cast.console.visitor()
    return visitor.submit(
        visitor.get("/sign-in"), "/sign-in", email=person.email, password=password
    )


async def test_signing_somebody_out_everywhere(cast: Cast, administrator: Visitor) -> None:
    """All their sign-ins end at once; they may sign in again."""
    person = await with_password(cast)
    browsers = [await cast.signed_in(person) for _ in range(2)]
    action = url("person_sign_out", person=person.id)
    shown = administrator.follow(administrator.submit(administrator.get(PEOPLE), action))
    assert "They are signed out everywhere." in shown.text
    assert [browser.get("/account").status for browser in browsers] == [303, 303]
    assert sign_in(cast, person).status == 303
    gone = {"csrf": security.form_token(administrator.cookies[SESSION])}
    assert administrator.post(url("person_sign_out", person="person_0"), gone).status == 404


async def test_disabling_somebody(cast: Cast, administrator: Visitor) -> None:
    """They are out, and told nothing that a wrong password isn't told, until they are let in again."""
    person = await with_password(cast)
    browser = await cast.signed_in(person)
    action = url("person_disabled", person=person.id)
    page = administrator.get(PEOPLE)
    shown = administrator.follow(administrator.submit(page, action))
    assert "can no longer sign in" in shown.text
    assert browser.get("/account").status == 303
    refused, wrong = sign_in(cast, person), sign_in(cast, person, "quite wrong words")
    assert refused.status == wrong.status == 401
    assert "The e-mail address or the password is wrong." in refused.text
    for offered in ("person_recovery", "person_sign_out"):
        assert url(offered, person=person.id) in page.html
        assert url(offered, person=person.id) not in shown.html
    shown = administrator.follow(administrator.submit(shown, action))
    assert "They can sign in again." in shown.text
    assert sign_in(cast, person).status == 303


async def test_nobody_disables_themselves(cast: Cast) -> None:
    """No button is there for it, and a form that is sent all the same says why not."""
    person = await cast.person(administrator=True)
    browser = await cast.signed_in(person)
    action = url("person_disabled", person=person.id)
    assert action not in browser.get(PEOPLE).html
    fields = {"csrf": security.form_token(browser.cookies[SESSION])}
    shown = browser.post(action, {**fields, "disabled": "yes"})
    assert shown.status == 422
    assert "You can’t disable your own account." in shown.text
    assert browser.post(action, fields).status == 422
    assert browser.get(PEOPLE).status == 200


async def test_the_workspaces_of_each_are_counted(cast: Cast, administrator: Visitor) -> None:
    """Beside each person stands in how many workspaces they are."""
    person = await with_password(cast)
    for _ in range(6):
        place = cast.console.edge.operator.workspace("place")
        await cast.books.memberships.add(NOBODY, place, person.id, Role.VIEWER)
    html = administrator.get(PEOPLE).html
    row = html.partition(person.email)[2].partition("</tr>")[0]
    assert '<td data-label="Workspaces">7</td>' in row
