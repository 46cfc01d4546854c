"""Administrators: they create, suspend and resume workspaces, and look after people."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from console.paths import url
from console.people import Identity, Role, open_people
from tests.console.keys_in_it import told
from tests.console.living import OWNER, Console
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge
from tests.e2e.processes import eventually

HOME = url("administration")
CREATE = url("administration_workspaces")
PEOPLE = url("administration_people")


@pytest.fixture
async def administrator(cast: Cast) -> Visitor:
    """Somebody who administers and is in no workspace."""
    return await cast.visitor(administrator=True)


def created(administrator: Visitor, name: str) -> str:
    """The id of a workspace that was just made."""
    done = administrator.submit(administrator.get(HOME), CREATE, name=name)
    assert done.status == 303, done.text
    return done.location.split("/")[2]


def on_all_pages(browser: Visitor, path: str, pattern: str) -> list[str]:
    found: list[str] = []
    shown = browser.get(path)
    while True:
        assert shown.status == 200
        found += re.findall(pattern, shown.html)
        further = re.search(r'rel="next" href="([^"]+)"', shown.html)
        if further is None:
            return found
        shown = browser.get(further[1].replace("&amp;", "&"))


async def test_who_creates_a_workspace_owns_it(cast: Cast, administrator: Visitor) -> None:
    """The name is trimmed, the creator lands among its keys and is told so."""
    done = administrator.submit(administrator.get(HOME), CREATE, name="  Billing team ")
    shown = administrator.follow(done)
    assert "The workspace is created, and you are its owner." in shown.text
    assert "spends its credits" in shown.text
    [member] = await cast.books.memberships.of_workspace(done.location.split("/")[2])
    assert member.role is Role.OWNER
    assert "Billing team" in administrator.get(HOME).text


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "Give the workspace a name"),
        ("   ", "Give the workspace a name"),
        ("x" * 101, "The name is longer than 100 characters."),
        ("a\u202eb", "The name holds characters that can't be printed."),
    ],
)
async def test_a_name_that_is_none_is_said_beside_the_field(
    name: str, error: str, administrator: Visitor
) -> None:
    """Nothing is made, and what was typed stays."""
    shown = administrator.submit(administrator.get(HOME), CREATE, name=name)
    assert shown.status == 422
    assert error in shown.element("name-error")
    assert ("name", name.strip()) in shown.form(CREATE).fields


async def test_a_suspended_workspace_has_no_key_that_works(
    cast: Cast, administrator: Visitor
) -> None:
    """It is asked first; then all keys are refused until it is resumed, and a receipt says so."""
    edge = cast.console.edge
    _, secret = edge.operator.issue(cast.workspace)
    assert told(edge, secret)[0] == 200
    path = url("workspace_suspend", workspace=cast.workspace)
    page = administrator.get(path)
    assert "All keys of Acme are refused at once" in page.text
    assert told(edge, secret)[0] == 200
    done = administrator.submit(page, path)
    assert told(edge, secret) == (403, "workspace_suspended")
    assert "Acme is suspended" in done.text
    assert re.search(r"Stopped everywhere in [\d.]+ m?s\. \d verifiers? confirmed\.", done.text)
    resume = url("workspace_resume", workspace=cast.workspace)
    done = administrator.submit(administrator.get(HOME), resume)
    assert told(edge, secret)[0] == 200
    assert re.search(r"Working again everywhere in \d+ ms", done.text)


async def test_members_of_a_suspended_workspace_are_told(cast: Cast) -> None:
    """A banner on every page, and why no key can be created; what was typed stays."""
    browser = await cast.visitor(Role.MEMBER)
    new = url("key_new", workspace=cast.workspace)
    page = browser.get(new)
    cast.console.edge.operator.suspend(cast.workspace)
    for name in ("keys", "activity", "members", "key_new"):
        shown = browser.get(url(name, workspace=cast.workspace))
        assert "This workspace is suspended" in shown.text
    shown = browser.submit(page, new, name="billing", expires="30d")
    assert shown.status == 422
    assert "no key can be created in it until it is resumed" in shown.text
    assert {("name", "billing"), ("expires", "30d")} <= set(shown.form(new).fields)
    cast.console.edge.operator.suspend(cast.workspace, suspended=False)
    assert browser.submit(shown, new).status == 200


async def test_a_workspace_that_is_none_is_not_found(administrator: Visitor) -> None:
    """Neither suspended nor joined."""
    page = administrator.get(HOME)
    csrf = dict(page.form(CREATE).fields)["csrf"]
    assert administrator.get(url("workspace_suspend", workspace="ws_none")).status == 404
    for name in ("workspace_suspend", "workspace_resume", "workspace_join"):
        assert administrator.post(url(name, workspace="ws_none"), {"csrf": csrf}).status == 404


async def test_an_administrator_joins_as_owner(cast: Cast) -> None:
    """Before that its keys are not theirs to see; twice does no harm, and a viewer becomes owner."""
    person = await cast.person(administrator=True)
    browser = await cast.signed_in(person)
    keys = url("keys", workspace=cast.workspace)
    assert browser.get(keys).status == 404
    join = url("workspace_join", workspace=cast.workspace)
    page = browser.get(HOME)
    for _ in range(2):
        done = browser.submit(page, join)
        assert done.location == keys + "?done=joined"
    assert browser.get(keys).status == 200
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.OWNER
    await cast.person(Role.OWNER)
    await cast.books.memberships.set_role(NOBODY, cast.workspace, person.id, Role.VIEWER)
    browser.submit(page, join)
    assert await cast.books.memberships.role(cast.workspace, person.id) is Role.OWNER


async def test_workspaces_come_a_page_at_a_time(cast: Cast, administrator: Visitor) -> None:
    """All of them once, the newest first; a page that is none is not found."""
    mark = secrets.token_hex(4)
    made = [cast.console.edge.operator.workspace(f"{mark} {number}") for number in range(55)]
    shown = on_all_pages(administrator, HOME, r'<code class="hint-code">(ws_\w+)</code>')
    assert len(shown) == len(set(shown))
    assert [one for one in shown if one in made] == list(reversed(made))
    assert administrator.get(HOME + "?page=nonsense").status == 404


async def test_somebody_in_many_workspaces_finds_them_all(cast: Cast) -> None:
    """More than the authority lets one caller ask for at the same time."""
    person = await cast.person()
    operator = cast.console.edge.operator
    for number in range(70):
        place = operator.workspace(f"place {number:02}")
        await cast.books.memberships.add(NOBODY, place, person.id, Role.VIEWER)
    shown = (await cast.signed_in(person)).get(url("workspaces"))
    assert shown.status == 200
    listed = re.findall(r"place \d\d", shown.text)
    assert listed == [f"place {number:02}" for number in range(70)]


async def test_a_new_password_for_who_lost_theirs(cast: Cast, administrator: Visitor) -> None:
    """The link is shown once, works once, and the person signs in with the new password."""
    person = await cast.person(Role.VIEWER)
    action = url("person_recovery", person=person.id)
    shown = administrator.submit(administrator.get(PEOPLE), action)
    assert person.email in shown.text
    link = shown.element("link")
    assert link.startswith(cast.console.url + "/recovery/")
    assert link not in administrator.get(PEOPLE).html
    visitor = cast.console.visitor()
    path = link.removeprefix(cast.console.url)
    done = visitor.submit(visitor.get(path), path, password="quite another one")
    assert done.status == 303
    assert visitor.get(path).status == 404
    browser = cast.console.sign_in(person.email, "quite another one")
    assert browser.get(url("keys", workspace=cast.workspace)).status == 200


class Small:
    """A console of a test's own, whose administrators it knows."""

    def __init__(self, cast: Cast, owner: Visitor, person_id: str) -> None:
        self.cast, self.owner, self.person_id = cast, owner, person_id


@pytest.fixture
async def small(own_console: Console) -> AsyncIterator[Small]:
    owner = own_console.first_owner()
    async with open_people(own_console.database) as books:
        person = await books.accounts.by_email(OWNER)
        assert person is not None
        yield Small(
            Cast(own_console, books, own_console.edge.operator.workspace()), owner, person.id
        )


def appoint(small: Small, person_id: str, page: Shown | None = None) -> Shown:
    path = url("person_administrator", person=person_id)
    return small.owner.submit(page or small.owner.get(PEOPLE), path)


async def test_administrators_appoint_and_dismiss_but_never_the_last(small: Small) -> None:
    """One appoints another, who dismisses the first; the one who is left stays one."""
    person = await small.cast.person()
    alone = small.owner.get(PEOPLE)
    shown = appoint(small, small.person_id)
    assert shown.status == 422
    assert "One administrator must remain" in shown.text
    added = small.owner.follow(appoint(small, person.id, alone))
    assert "They are an administrator now" in added.text
    second = await small.cast.signed_in(person)
    assert second.get(HOME).status == 200
    gone = small.owner.follow(appoint(small, small.person_id))
    assert "You are no longer an administrator" in gone.text
    assert small.owner.get(HOME).status == 404
    csrf = dict(second.get(HOME).form(CREATE).fields)["csrf"]
    path = url("person_administrator", person=person.id)
    assert second.post(path, {"csrf": csrf, "administrator": "no"}).status == 422
    # A form that doesn't say what is wanted changes nothing.
    path = url("person_administrator", person=small.person_id)
    assert second.post(path, {"csrf": csrf}).status == 422
    assert second.post(path, {"csrf": csrf, "administrator": "yes"}).status == 303


async def test_people_come_a_page_at_a_time(small: Small) -> None:
    """All of them once, newest first, and an unknown place in the list is no fault."""
    books, expected = small.cast.books, ["Olga Owner"]
    for number in range(60):
        name = f"Somebody {number:02}"
        email = f"{number}@example.com"
        _, token = await books.links.invite(NOBODY, small.cast.workspace, email, Role.VIEWER)
        identity = Identity("https://issuer.example", str(number))
        await books.links.accept_invitation(token.reveal(), name, identity, "")
        expected.insert(0, name)
    pattern = r'<th scope="row"><span class="strong">([^<]+)</span>'
    assert on_all_pages(small.owner, PEOPLE, pattern) == expected
    assert small.owner.get(PEOPLE + "?after=nonsense").status == 200


@pytest.fixture
def away(edge: Edge, cast: Cast) -> Iterator[None]:
    yield
    edge.recover_authority()
    visitor = cast.console.visitor()
    eventually("the console is ready", lambda: visitor.get("/readyz").status == 200)


@pytest.mark.usefixtures("away")
async def test_while_the_authority_is_away_nothing_is_said_to_be_done(
    cast: Cast, administrator: Visitor
) -> None:
    """Suspending and creating bring their forms back; resuming says that nobody can tell."""
    path = url("workspace_suspend", workspace=cast.workspace)
    cast.console.edge.operator.suspend(cast.workspace, suspended=False)
    page, home = administrator.get(path), administrator.get(HOME)
    cast.console.edge.authority.stop()
    shown = administrator.submit(page, path)
    assert shown.status == 503
    assert "Suspend Acme" in shown.text
    assert "The key authority doesn’t answer" in shown.text
    assert "csrf" in dict(shown.form(path).fields)
    shown = administrator.submit(home, CREATE, name="Billing team")
    assert shown.status == 503
    assert ("name", "Billing team") in shown.form(CREATE).fields
    csrf = dict(home.form(CREATE).fields)["csrf"]
    resume = url("workspace_resume", workspace=cast.workspace)
    shown = administrator.post(resume, {"csrf": csrf})
    assert shown.status == 503
    assert "we can’t tell whether that was done" in shown.text


def test_the_newest_workspace_is_the_first_in_the_list(tmp_path: Path, console: Console) -> None:
    """What was just made stands on top, with what can be done with it."""
    browser = console.sign_in(OWNER)
    name = f"newest {tmp_path.name}"
    workspace = created(browser, name)
    shown = browser.get(HOME)
    first = re.search(r'<code class="hint-code">(ws_\w+)</code>', shown.html)
    assert first is not None
    assert first[1] == workspace
    # Its owner needn't join it, and can go there.
    assert url("workspace_join", workspace=workspace) not in shown.html
    assert url("keys", workspace=workspace) in shown.html


async def test_a_workspace_is_made_once_however_often_the_form_is_sent(cast: Cast) -> None:
    """A double click makes one workspace: the second time leads to the one that was made."""
    administrator = await cast.visitor(administrator=True)
    page = administrator.get("/administration")
    action = "/administration/workspaces"
    name = f"once {secrets.token_hex(4)}"
    first = administrator.submit(page, action, name=name)
    again = administrator.submit(page, action, name=name)
    assert first.location.split("?")[0] == again.location
    assert administrator.get("/administration").text.count(name) == 1


async def test_two_clicks_at_once_make_one_workspace(cast: Cast) -> None:
    """The second that arrives before the first is answered makes none, and says where to look."""
    administrator = await cast.visitor(administrator=True)
    action = "/administration/workspaces"
    name = f"twice {secrets.token_hex(4)}"
    form = administrator.get("/administration").form(action)
    fields = [*(pair for pair in form.fields if pair[0] != "name"), ("name", name)]
    both = await asyncio.gather(
        *(asyncio.to_thread(administrator.post, action, fields) for _ in range(2))
    )
    assert 303 in {shown.status for shown in both}
    assert administrator.get("/administration").text.count(name) == 1


async def test_a_secret_is_no_name_for_a_workspace(cast: Cast) -> None:
    """It would stand in every list."""
    administrator = await cast.visitor(administrator=True)
    _, secret = cast.console.edge.operator.issue(cast.workspace)
    page = administrator.get("/administration")
    shown = administrator.submit(page, "/administration/workspaces", name=secret)
    assert shown.status == 422
    assert secret not in shown.html
