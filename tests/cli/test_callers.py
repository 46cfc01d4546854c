"""Callers from the command line."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.cli.parts import Cli


def test_create_prints_the_token_once_and_says_so(cli: Cli) -> None:
    """A person gets the token, and the warning that there is no second chance."""
    said = cli.text("callers", "create", "printed", "--role", "verifier")

    assert said.count("optk-svc-") == 1
    assert "shown this once" in said


def test_create_sends_every_option(cli: Cli) -> None:
    """What is asked for is what the caller has."""
    workspace = cli.workspace()

    document = cli.json(
        *("callers", "create", "full", "--role", "issuer", "--role", "verifier"),
        *("--workspace", workspace, "--certificate-name", "billing.internal"),
    )

    assert document["token"].startswith("optk-svc-")
    caller = document["caller"]
    assert set(caller["roles"]) == {"CALLER_ROLE_ISSUER", "CALLER_ROLE_VERIFIER"}
    assert caller["workspace_ids"] == [workspace]
    assert caller["certificate_name"] == "billing.internal"


def test_a_biller_can_be_created(cli: Cli) -> None:
    """As the documents say."""
    created = cli.json("callers", "create", "shop", "--role", "biller")["caller"]

    assert created["roles"] == ["CALLER_ROLE_BILLER"]


def test_the_right_to_act_for_people_is_given_and_shown(cli: Cli) -> None:
    """It is asked for by name; the list shows who has it."""
    for name, options in (("for people", ["--acts-for-people"]), ("for itself", [])):
        created = cli.json("callers", "create", name, "--role", "issuer", *options)["caller"]
        row = next(
            line
            for line in cli.text("callers", "list", "--all").splitlines()
            if created["id"] in line
        )
        assert created["acts_for_people"] is bool(options)
        assert row.split()[5] == ("yes" if options else "no")


def test_create_can_put_the_token_in_a_file_instead(cli: Cli, tmp_path: Path) -> None:
    """The file is its owner's alone, the token works, and neither form prints it."""
    text_file, json_file = tmp_path / "a.token", tmp_path / "b.token"
    create = ("callers", "create", "--role", "verifier", "--token-file")

    said = cli.text(*create, str(text_file), "filed a")
    document = cli.json(*create, str(json_file), "filed b")

    _, secret = cli.issue()
    for file in (text_file, json_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert cli("--token-file", str(file), "verify", stdin=secret).exit_code == 0
    assert str(text_file) in said
    assert "optk-svc-" not in said
    assert list(document) == ["caller"]


def test_create_writes_over_no_file(cli: Cli, tmp_path: Path) -> None:
    """A file that is there stays as it was, and no caller is created."""
    file = tmp_path / "there"
    file.write_text("precious")
    create = ("callers", "create", "overwriter", "--role", "verifier")

    refusal = cli.refusal(*create, "--token-file", str(file))

    assert refusal.startswith(f"{file} exists")
    assert file.read_text() == "precious"
    assert cli(*create).exit_code == 0


def test_create_leaves_no_file_behind_a_refusal(cli: Cli, tmp_path: Path) -> None:
    """Where no caller was created there is no file for its token; a bad folder is said first."""
    create = ("callers", "create", "root", "--role", "verifier", "--token-file")

    taken = cli.refusal(*create, str(tmp_path / "x.token"))
    nowhere = cli.refusal(*create, str(tmp_path / "no" / "x.token"))

    assert taken == "a caller of that name exists"
    assert nowhere == f"cannot write {tmp_path}/no/x.token: No such file or directory"
    assert not (tmp_path / "x.token").exists()


def test_list_and_revoke(cli: Cli, tmp_path: Path) -> None:
    """A revoked caller stays on the list, and its token is refused from then on."""
    file = tmp_path / "leaver.token"
    create = ("callers", "create", "leaver", "--role", "admin", "--token-file", str(file))
    caller = cli.json(*create)["caller"]["id"]

    said = cli.text("callers", "revoke", caller)
    again = cli.json("callers", "revoke", caller)

    assert said.startswith(f'Revoked {caller} "leaver". In force everywhere')
    assert set(again) == {"caller", "receipt"}
    row = next(line for line in cli.text("callers", "list", "--all").splitlines() if caller in line)
    assert row.split()[1:4] == ["leaver", "admin", "all"]
    assert caller in [one["id"] for one in cli.json("callers", "list", "--all")["callers"]]
    assert cli.refusal("--token-file", str(file), "callers", "list") == (
        f"the credential is not accepted; the token is that of {file}: point --token-file "
        "(KEYAUTHORITY_TOKEN_FILE) at a good one"
    )


def test_the_last_admin_stays(cli: Cli) -> None:
    """Nobody can lock everybody out."""
    callers = cli.json("callers", "list", "--all")["callers"]
    root = next(one["id"] for one in callers if one["name"] == "root")

    assert "the last admin can't be revoked" in cli.refusal("callers", "revoke", root)


def test_a_missing_role_is_named(cli: Cli, tmp_path: Path) -> None:
    """A caller that may not do it reads which role it lacks, and whose token was used."""
    file = tmp_path / "verifier.token"
    cli.text("callers", "create", "only", "--role", "verifier", "--token-file", str(file))

    refusal = cli.refusal("--token-file", str(file), "keys", "list")

    assert refusal == f"the caller lacks the role issuer; the token is that of {file}"
