"""Names where ids go, and what is refused because a name could mean another record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.parts import Cli, serving


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """An authority of its own: whether a name is unique depends on all that there is."""
    with serving(tmp_path_factory.mktemp("names") / "data") as cli:
        yield cli


def issue(cli: Cli, workspace: str, name: str) -> str:
    issued: str = cli.json("keys", "issue", "--workspace", workspace, "--name", name)["key"]["id"]
    return issued


def test_a_workspace_is_named_wherever_its_id_goes(cli: Cli) -> None:
    """By its whole name; an id is never looked up, and a name that begins like one is none."""
    shop, shops = cli.workspace("shop"), cli.workspace("shops")

    assert cli.json("workspaces", "get", "shop")["workspace"]["id"] == shop
    key = cli.json("keys", "issue", "--workspace", "shops", "--name", "of shops")["key"]
    assert key["workspace_id"] == shops
    cli.text("ledger", "top-up", "shop", "--amount", "3", "--purchase", "p1")
    assert cli.text("--quiet", "ledger", "balance", "shop") == "3\n"
    assert len(cli.json("ledger", "entries", "--workspace", "shop")["entries"]) == 1
    assert cli.text("ledger", "export", "shop", "--all").count("\n") == 2
    assert cli.refusal("workspaces", "suspend", "sho") == 'no workspace is called "sho"'
    assert cli.refusal("workspaces", "get", "ws_shop") == "no such workspace: ws_shop"


def test_a_name_that_several_have_is_refused_with_all_of_them(cli: Cli) -> None:
    """Programs read the candidates, too; nothing is done to any of them."""
    twins = {cli.workspace("twin") for _ in range(2)}

    refusal = cli.refusal("workspaces", "suspend", "twin")
    error = cli.error("workspaces", "suspend", "twin")

    assert refusal.startswith('2 workspaces are called "twin", so give the id: ws_')
    assert all(f"{one} (active)" in refusal for one in twins)
    assert (error["code"], set(error["candidates"])) == ("NAME_AMBIGUOUS", twins)
    states = [cli.json("workspaces", "get", one)["workspace"]["suspended"] for one in twins]
    assert states == [False, False]


def test_a_key_is_revoked_by_a_name_that_no_other_key_has_or_had(cli: Cli) -> None:
    """The second time the name may be that of the key's successor, which goes on working."""
    workspace = cli.workspace("keys")
    first = issue(cli, workspace, "ci")
    issue(cli, workspace, "ci 2")

    assert f'Revoked {first} "ci" in {workspace}.' in cli.text("keys", "revoke", "ci")
    second = issue(cli, workspace, "ci")
    refusal = cli.refusal("keys", "revoke", "ci", "ci 2")

    assert refusal.startswith('2 keys are called "ci", so give the id: ')
    assert f"{first} (revoked, in {workspace})" in refusal
    assert cli.json("keys", "get", "ci")["key"]["id"] == second
    assert cli.json("keys", "get", "ci 2")["key"]["state"] == "KEY_STATE_ACTIVE"
    assert cli.refusal("keys", "revoke", "CI") == 'no key is called "CI"'


def test_a_workspace_narrows_a_key_down(cli: Cli) -> None:
    """A key is not touched if it is in another workspace, whether it is named or given by its id."""
    here, there = cli.workspace("here"), cli.workspace("there")
    mine, other = issue(cli, here, "worker"), issue(cli, there, "worker")

    assert "2 keys are called" in cli.refusal("keys", "rotate", "worker")
    rotated = cli.json("keys", "rotate", "worker", "--workspace", "here")
    wrong = cli.refusal("keys", "revoke", other, "--workspace", "here")

    assert rotated["key"]["id"] == mine
    assert wrong == f"{other} is in {there}, not in {here}"


def test_a_name_never_means_the_key_of_another_workspace(cli: Cli) -> None:
    """Nor, where a secret ends, its own successor; of several in one workspace, the living one."""
    mine, yours = cli.workspace("mine"), cli.workspace("yours")
    old, other = issue(cli, mine, "deploy"), issue(cli, yours, "deploy")
    cli.text("keys", "revoke", old)

    for change in (("rotate", "deploy"), ("update", "deploy", "--pause"), ("get", "deploy")):
        refusal = cli.refusal("keys", *change)
        assert f"{old} (revoked, in {mine})" in refusal
        assert f"{other} (active, in {yours})" in refusal
    new = issue(cli, mine, "deploy")
    within = ("--workspace", "mine")
    assert cli.json("keys", "update", "deploy", *within, "--label", "a=b")["key"]["id"] == new
    assert "2 keys are called" in cli.refusal("keys", "rotate", "deploy", *within)
    assert f'{new} "deploy" in {mine} has a new secret.' in cli.text("keys", "rotate", new)
    both = cli.text("keys", "revoke", new, other)
    assert f"Revoked 2 keys in {' and '.join(sorted((mine, yours)))}." in both


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--workspace", "keys list"),
        ("--workspace", "keys revoke {key}"),
        ("--workspace", "callers create worker --role issuer"),
        ("--workspace", "audit list"),
        ("--caller", "audit list"),
        ("--person", "audit export"),
        ("--subject", "audit list"),
        ("--method", "audit list"),
        ("--creator", "keys list"),
        ("--shown-to", "keys list"),
        ("--name-contains", "keys list"),
        ("--etag", "keys update {key} --pause"),
        ("--etag", "workspaces rename ws_1 shop"),
        ("--request-id", "keys rotate {key}"),
        ("--certificate-name", "callers create worker --role issuer"),
        ("--key", "ledger entries --workspace ws_1"),
        ("--model", "ledger entries --workspace ws_1"),
        ("--reference", "ledger adjust ws_1 --amount 1 --reason x"),
    ],
)
def test_an_empty_option_is_not_an_absent_one(cli: Cli, option: str, line: str) -> None:
    """The variable of a script that is not set neither widens nor loosens what is done."""
    arguments = line.format(key="key_1").split()

    refusal = cli.refusal(*arguments, option, "", exit_code=2)

    assert refusal == f"Invalid value for '{option}': is empty; is a variable not set?"


@pytest.mark.parametrize(
    "line", ["ledger verify", "ledger export --all", "ledger balance", "keys get", "callers revoke"]
)
def test_an_empty_argument_names_nothing(cli: Cli, line: str) -> None:
    """Where it may be left out, too."""
    assert "is empty; is a variable not set?" in cli.refusal(*line.split(), "", exit_code=2)


def test_callers_are_named(cli: Cli) -> None:
    """Where one is revoked, and where the audit is searched; its own insiders are no callers."""
    cli.workspace("worked")
    cli.text("callers", "create", "worker", "--role", "issuer", "--workspace", "worked")

    assert "Revoked caller_" in cli.text("callers", "revoke", "worker")
    assert cli.refusal("callers", "revoke", "nobody") == 'no caller is called "nobody"'
    assert cli.json("audit", "list", "--caller", "root", "--limit", "1")["entries"]
    assert cli("audit", "list", "--caller", "authority").exit_code == 0


def test_whoever_may_not_look_up_names_is_told_so(cli: Cli, tmp_path: Path) -> None:
    """An issuer gives the id, which always works."""
    workspace = cli.workspace("issuer's")
    token = tmp_path / "issuer.token"
    cli.text("callers", "create", "an issuer", "--role", "issuer", "--token-file", str(token))
    issuing = ("--token-file", str(token), "keys", "issue", "--name", "k", "--workspace")

    assert cli.refusal(*issuing, "issuer's") == (
        "only the role admin may look up a workspace by its name: give its id, ws_…"
    )
    assert cli.text(*issuing, workspace)


def test_a_workspace_is_renamed(cli: Cli) -> None:
    """Its keys go on working, and the audit has the old and the new name."""
    workspace = cli.workspace("old name")
    _, secret = cli.issue("--workspace", workspace)

    renamed = cli.text("workspaces", "rename", "old name", "new name")

    assert renamed.startswith(f'It is {workspace} "new name" now. In force everywhere')
    assert cli("verify", stdin=secret).exit_code == 0
    [line] = cli.text("audit", "list", "--action", "workspace-renamed").splitlines()[1:]
    assert 'from "old name" to "new name"' in line
    assert cli.refusal("workspaces", "rename", "new name", "") == "NAME is empty"
    stale = cli.refusal("workspaces", "rename", workspace, "newer", "--etag", "0")
    assert stale.startswith("the record changed since it was read")
