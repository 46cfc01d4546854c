"""The choice of a workspace: on its own page, and in the menu of every other."""

from __future__ import annotations

from console.paths import url
from console.people import Role
from tests.console.people_in_it import NOBODY, Cast


async def test_workspaces_of_the_same_name_are_told_apart(cast: Cast) -> None:
    """Each has its id beside its name, in the choice and in the menu; one of its own name hasn't."""
    person = await cast.person(Role.VIEWER)
    operator = cast.console.edge.operator
    same, other = operator.workspace("Acme"), operator.workspace("Acme staging")
    for workspace in (same, other):
        await cast.books.memberships.add(NOBODY, workspace, person.id, Role.VIEWER)
    browser = await cast.signed_in(person)
    choice = browser.get(url("workspaces")).text
    assert cast.workspace in choice
    assert same in choice
    assert other not in choice
    # The menu has the others only; the one that is open tells them from itself.
    menu = browser.get(url("members", workspace=cast.workspace)).text
    assert f"Acme {same}" in menu
    assert other not in menu


async def test_administrators_find_where_workspaces_are_made(cast: Cast) -> None:
    """A link in the choice and in the menu; nobody else is offered what they may not do."""
    for administrator in (True, False):
        browser = await cast.visitor(Role.OWNER, administrator=administrator)
        choice = browser.get(url("workspaces")).html
        menu = browser.get(url("members", workspace=cast.workspace)).html
        assert ("Create another workspace" in choice) == administrator
        assert ("New workspace" in menu) == administrator


async def test_a_workspace_that_the_authority_lost(cast: Cast) -> None:
    """As after a restore from a backup: its pages are not there, and others do without it."""
    person = await cast.person(Role.VIEWER)
    lost = f"ws_{person.id[-16:]}"
    await cast.books.memberships.add(NOBODY, lost, person.id, Role.VIEWER)
    browser = await cast.signed_in(person)

    assert browser.get(url("members", workspace=lost)).status == 404
    for page in (url("workspaces"), url("members", workspace=cast.workspace)):
        shown = browser.get(page)
        assert shown.status == 200
        assert "Acme" in shown.text
        assert lost not in shown.html
