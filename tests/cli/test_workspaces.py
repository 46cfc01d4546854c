"""Workspaces from the command line."""

from __future__ import annotations

from tests.cli.parts import Cli


def test_create_and_get_a_workspace(cli: Cli) -> None:
    """A new workspace is named in a sentence, and can be looked at."""
    said = cli.text("workspaces", "create", "Acme 한국")
    workspace = said.split()[1]

    assert said == f'Created {workspace} "Acme 한국".\n'
    assert cli.json("workspaces", "get", workspace)["workspace"]["name"] == "Acme 한국"
    assert "Acme 한국" in cli.text("workspaces", "get", workspace)


def test_list_shows_the_newest_first(cli: Cli) -> None:
    """The same order in the table and in the document."""
    older, newer = cli.workspace("one"), cli.workspace("two")

    lines = cli.text("workspaces", "list", "--limit", "2").splitlines()
    document = cli.json("workspaces", "list", "--limit", "2")

    assert [line.split()[0] for line in lines] == ["ID", newer, older]
    assert [one["id"] for one in document["workspaces"]] == [newer, older]


def test_list_goes_over_pages(cli: Cli) -> None:
    """--all gets what no single page holds."""
    created = {cli.workspace() for _ in range(101)}

    assert {one["id"] for one in cli.json("workspaces", "list", "--all")["workspaces"]} >= created


def test_suspend_and_resume(cli: Cli) -> None:
    """A suspended workspace's keys are refused until it is resumed; both say they are in force."""
    workspace = cli.workspace()
    _, secret = cli.issue("--workspace", workspace)

    suspended = cli.text("workspaces", "suspend", workspace)
    refused = cli.json("verify", stdin=secret, exit_code=1)
    document = cli.json("workspaces", "resume", workspace)

    assert suspended.startswith(f'{workspace} "acme" is suspended. In force everywhere')
    assert refused["verdict"] == "VERDICT_WORKSPACE_SUSPENDED"
    assert document["workspace"]["suspended"] is False
    assert "receipt" in document
    assert cli("verify", stdin=secret).exit_code == 0


def test_an_unknown_workspace_is_named(cli: Cli) -> None:
    """The sentence says which id it was."""
    for command in ("get", "suspend", "resume"):
        assert cli.refusal("workspaces", command, "ws_1") == "no such workspace: ws_1"
