"""The life of a key from the command line, in both forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.parts import Cli


def test_issue_prints_the_secret_once_and_says_so(cli: Cli) -> None:
    """A person gets the line to export, and the warning that there is no second chance."""
    workspace = cli.workspace()

    said = cli.text("keys", "issue", "--workspace", workspace, "--name", "laptop")

    assert said.count("sk-optk-") == 1
    assert 'export OPENTOKEN_API_KEY="sk-optk-' in said
    assert "shown this once" in said
    assert f'"laptop" in {workspace}.' in said


def test_issue_sends_every_option(cli: Cli) -> None:
    """What is asked for is what the key has."""
    workspace = cli.workspace()

    issued = cli.json(
        *("keys", "issue", "--workspace", workspace, "--name", "laptop"),
        *("--expires-at", "2030-01-31T21:00:00+09:00"),
        *("--scope", "models:read", "--scope", "chat", "--label", "team=a=b", "--label", "x="),
    )

    assert issued["secret"].startswith("sk-optk-")
    key = issued["key"]
    assert key["workspace_id"] == workspace
    assert key["name"] == "laptop"
    assert key["state"] == "KEY_STATE_ACTIVE"
    assert key["expire_time"] == "2030-01-31T12:00:00Z"
    assert key["scopes"] == ["models:read", "chat"]
    assert key["labels"] == {"team": "a=b", "x": ""}


def test_issue_counts_a_lifetime_from_now(cli: Cli) -> None:
    """--expires-in gives an expiry; without either option there is none."""
    workspace = cli.workspace()
    issue = ("keys", "issue", "--workspace", workspace, "--name", "laptop")

    assert "expire_time" in cli.json(*issue, "--expires-in", "30d")["key"]
    assert "expire_time" not in cli.json(*issue)["key"]


def test_issue_is_safe_to_repeat_with_a_request_id(cli: Cli) -> None:
    """The same request id gets the same key and secret; another request with it is refused."""
    issue = ("keys", "issue", "--workspace", cli.workspace(), "--request-id", "r-1", "--name")

    assert cli.json(*issue, "laptop") == cli.json(*issue, "laptop")
    assert "request_id was used" in cli.refusal(*issue, "desktop")


def test_get_shows_a_key_without_its_secret(cli: Cli) -> None:
    """The record has the hint, in both forms, and never the secret."""
    key_id, secret = cli.issue("--scope", "chat", "--label", "team=a")

    text, document = cli.text("keys", "get", key_id), cli.json("keys", "get", key_id)

    hint = f"{secret[:12]}…{secret[-4:]}"
    assert document["key"]["id"] == key_id
    assert document["key"]["secrets"][0]["hint"] == hint
    for shown in (key_id, hint, "active", "never", "chat", "team=a"):
        assert shown in text
    assert secret not in text + str(document)


def test_the_last_use_is_shown(cli: Cli) -> None:
    """A person sees since when a key and each of its secrets is idle, or that it always was."""
    workspace = cli.workspace()
    key_id, secret = cli.issue("--workspace", workspace)
    listing, get = ("keys", "list", "--workspace", workspace), ("keys", "get", key_id)
    idle, idle_list = cli.text(*get), cli.text(*listing)
    cli.text("verify", stdin=secret)
    used, used_list = cli.text(*get), cli.text(*listing)

    time = cli.json(*get)["key"]["last_used_time"][:19] + "Z"
    assert re.search(r"^last used: +never$", idle, re.MULTILINE)
    assert "last used never" in idle
    assert re.search(rf"^last used: +{time}$", used, re.MULTILINE)
    assert f"last used {time}" in used
    assert "LAST USED" in idle_list
    assert re.search(r"active +never +never", idle_list)
    assert re.search(rf"active +never +{time}", used_list)


def test_the_creator_is_shown_and_searched_for(cli: Cli, tmp_path: Path) -> None:
    """Who issued a key: a person by name and id, or the caller."""
    workspace = cli.workspace()
    listing = ("keys", "list", "--workspace", workspace)
    issue = cli.acting("console B", tmp_path / "console.token")
    alices = issue(workspace, "person_1", "alice@example.com").key.id
    nameless = issue(workspace, "person_2", "").key.id
    roots, _ = cli.issue("--workspace", workspace)

    shown = {line.split()[0]: line.split()[-2] for line in cli.text(*listing).splitlines()[1:]}

    assert shown == {alices: "alice@example.com", nameless: "person_2", roots: "root"}
    created = r"^created: +\S+Z by "
    for key_id, by in (
        (alices, r"alice@example\.com \(person_1\)$"),
        (nameless, r"person_2$"),
        (roots, r"root \(caller_\w+\)$"),
    ):
        assert re.search(created + by, cli.text("keys", "get", key_id), re.MULTILINE)
    found = cli.json(*listing, "--creator", "person_1")["keys"]
    assert [(one["id"], one["creator_name"]) for one in found] == [(alices, "alice@example.com")]


def test_list_shows_the_newest_first(cli: Cli) -> None:
    """A table for people, a document for programs, the same keys in the same order."""
    workspace = cli.workspace()
    older, newer = (cli.issue("--workspace", workspace)[0] for _ in range(2))

    lines = cli.text("keys", "list", "--workspace", workspace).splitlines()
    document = cli.json("keys", "list", "--workspace", workspace)

    assert [line.split()[0] for line in lines] == ["ID", newer, older]
    assert [key["id"] for key in document["keys"]] == [newer, older]


def test_list_narrows_by_state_and_name(cli: Cli) -> None:
    """The filters reach the authority."""
    workspace = cli.workspace()
    listing = ("keys", "list", "--workspace", workspace)
    active, revoked = (cli.issue("--workspace", workspace)[0] for _ in range(2))
    cli.text("keys", "revoke", revoked)
    cli.text("keys", "update", active, "--name", "Laptop")

    by_state = cli.json(*listing, "--state", "revoked")["keys"]
    by_name = cli.json(*listing, "--name-contains", "lap")["keys"]

    assert [key["id"] for key in by_state] == [revoked]
    assert [key["id"] for key in by_name] == [active]


def test_list_narrows_by_label_and_expiry(cli: Cli) -> None:
    """All labels have to match; what is revoked or never ends does not expire soon."""
    workspace = cli.workspace()
    place = ("--workspace", workspace)
    soon, _ = cli.issue(*place, "--expires-in", "5d", "--label", "team=a", "--label", "x=1")
    later, _ = cli.issue(*place, "--expires-in", "90d", "--label", "team=a")
    revoked, _ = cli.issue(*place, "--expires-in", "1d", "--label", "team=b")
    never, _ = cli.issue(*place)
    cli.text("keys", "revoke", revoked)

    def listed(*filters: str) -> list[str]:
        return cli.text("keys", "list", "-q", *place, *filters).split()

    assert listed() == [never, revoked, later, soon]
    assert listed("--expiring", "30d") == [soon]
    assert listed("--expiring", "100d") == [later, soon]
    assert listed("--label", "team=a") == [later, soon]
    assert listed("--label", "team=a", "--label", "x=1") == [soon]
    assert listed("--label", "team=a", "--limit", "1") == [later]
    assert (
        "There are more keys" in cli("keys", "list", *place, "--label=team=a", "--limit=1").stderr
    )


def test_list_says_when_there_is_more(cli: Cli) -> None:
    """A limit that cuts the list off says so beside it, and --all shows the rest."""
    workspace = cli.workspace()
    keys = {cli.issue("--workspace", workspace)[0] for _ in range(3)}
    listing = ("keys", "list", "--workspace", workspace)

    cut, whole = cli(*listing, "--limit", "2"), cli(*listing, "--limit", "3")

    assert len(cut.stdout.splitlines()) == 3
    assert "more keys" in cut.stderr
    assert "--all" in cut.stderr
    assert whole.stderr == ""
    assert {key["id"] for key in cli.json(*listing, "--all")["keys"]} == keys


def test_list_of_nothing_says_so(cli: Cli) -> None:
    """An empty list is an empty document, and for people a sentence beside an empty output."""
    workspace = cli.workspace()

    empty = cli("keys", "list", "--workspace", workspace)

    assert (empty.stdout, empty.stderr) == ("", "There are no keys.\n")
    assert cli.json("keys", "list", "--workspace", workspace) == {"keys": []}


def test_update_changes_what_is_named_and_nothing_else(cli: Cli) -> None:
    """Every field can be set and taken away; the others stay."""
    key_id, _ = cli.issue("--expires-in", "1d", "--scope", "chat", "--label", "a=1")
    update = ("keys", "update", key_id)

    renamed = cli.json(*update, "--name", "desktop", "--pause")["key"]
    assert (renamed["name"], renamed["state"]) == ("desktop", "KEY_STATE_DISABLED")
    assert (renamed["scopes"], renamed["labels"]) == (["chat"], {"a": "1"})
    assert "expire_time" in renamed

    bare = cli.json(*update, "--resume", "--never-expires", "--no-scopes", "--no-labels")["key"]
    assert (bare["name"], bare["state"]) == ("desktop", "KEY_STATE_ACTIVE")
    assert (bare["scopes"], bare["labels"]) == ([], {})
    assert "expire_time" not in bare

    dressed = cli.json(*update, "--expires-in", "2h", "--scope", "x", "--label", "b=2")["key"]
    assert (dressed["scopes"], dressed["labels"]) == (["x"], {"b": "2"})
    assert "expire_time" in dressed


def test_a_key_is_paused_and_resumed(cli: Cli) -> None:
    """The option, the state, the filter of lists and the verdict say it with the same word."""
    workspace = cli.workspace()
    key_id, secret = cli.issue("--workspace", workspace)
    listing = ("keys", "list", "--workspace", workspace, "--state", "paused")

    paused = cli.text("keys", "update", key_id, "--pause")
    assert re.search(r"^state: +paused$", paused, re.MULTILINE)
    assert re.search(rf"^{key_id} .* paused ", cli.text(*listing), re.MULTILINE)
    verification = cli("verify", stdin=secret)
    assert verification.exit_code == 1
    assert re.match(r"verdict: +paused\n", verification.stdout)

    resumed = cli.text("keys", "update", key_id, "--resume")
    assert re.search(r"^state: +active$", resumed, re.MULTILINE)
    assert cli.json(*listing) == {"keys": []}


def test_update_ends_with_the_receipt(cli: Cli) -> None:
    """A person reads that the change is in force, a program reads the receipt."""
    key_id, _ = cli.issue()

    text = cli.text("keys", "update", key_id, "--pause")
    receipt = cli.json("keys", "update", key_id, "--resume")["receipt"]

    assert "In force everywhere as of revision" in text
    assert set(receipt) >= {"revision", "sessions_acknowledged", "leases_waited_out", "waited"}


def test_update_with_a_stale_etag_is_refused(cli: Cli) -> None:
    """The change builds on what was read, or isn't made."""
    key_id, _ = cli.issue()
    etag = cli.json("keys", "get", key_id)["key"]["etag"]
    cli.text("keys", "update", key_id, "--name", "first", "--etag", etag)

    refusal = cli.refusal("keys", "update", key_id, "--name", "second", "--etag", etag)

    assert refusal == "the record changed since it was read: look at it again, then decide again"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing to change: name at least one new value"),
        (("--scope", "a", "--no-scopes"), "--scope and --no-scopes exclude one another"),
        (("--label", "a=1", "--no-labels"), "--label and --no-labels exclude one another"),
        (
            ("--expires-in", "0s", "--never-expires"),
            "--expires-in and --never-expires exclude one another",
        ),
    ],
)
def test_update_that_contradicts_itself_is_a_usage_error(
    cli: Cli, arguments: tuple[str, ...], sentence: str
) -> None:
    """Nothing is sent for a command that can't be meant."""
    assert cli.refusal("keys", "update", "key_1", *arguments, exit_code=2) == sentence


def test_rotate_prints_the_new_secret_and_ends_the_old_one(cli: Cli) -> None:
    """Without overlap the old secret ends at once; with one, both act for a while."""
    key_id, first = cli.issue()

    second = cli.json("keys", "rotate", key_id)["secret"]
    said = cli.text("keys", "rotate", key_id, "--overlap", "24h")

    assert cli.json("verify", stdin=first, exit_code=1)["verdict"] == "VERDICT_REVOKED"
    assert cli.json("verify", stdin=second)["verdict"] == "VERDICT_VALID"
    assert said.count("sk-optk-") == 1
    assert "shown this once" in said


def test_revoke_one_key(cli: Cli) -> None:
    """The key and the receipt come back; the secret is refused from then on."""
    key_id, secret = cli.issue()

    document = cli.json("keys", "revoke", key_id, "--reason", "owner-left", "--note", "by mail")

    assert set(document) == {"key", "receipt"}
    assert document["key"]["state"] == "KEY_STATE_REVOKED"
    assert document["key"]["revocation_reason"] == "REVOCATION_REASON_OWNER_LEFT"
    assert document["key"]["revocation_note"] == "by mail"
    assert cli.json("verify", stdin=secret, exit_code=1)["verdict"] == "VERDICT_REVOKED"
    assert "owner left: by mail" in cli.text("keys", "get", key_id)


def test_revoke_says_what_it_did_in_a_sentence(cli: Cli) -> None:
    """A person reads which key it was and that it is over."""
    workspace = cli.workspace()
    key_id, _ = cli.issue("--workspace", workspace)

    said = cli.text("keys", "revoke", key_id)

    assert said.startswith(
        f'Revoked {key_id} "test" in {workspace}. In force everywhere as of revision '
    )


def test_revoke_several_keys_at_once(cli: Cli) -> None:
    """Several ids are revoked together, all or none, behind one receipt."""
    ids = [cli.issue()[0] for _ in range(2)]

    refusal = cli.refusal("keys", "revoke", *ids, "key_0000000000000000")
    document = cli.json("keys", "revoke", *ids, "--reason", "compromised")

    assert refusal == "no such key: key_0000000000000000"
    assert [key["id"] for key in document["keys"]] == ids
    assert "receipt" in document


def test_lookup_finds_the_key_behind_a_secret(cli: Cli) -> None:
    """A secret that turned up somewhere leads to its key, revoked or not."""
    key_id, secret = cli.issue()
    cli.text("keys", "revoke", key_id)

    assert cli.json("keys", "lookup", stdin=f"{secret}\n")["key"]["id"] == key_id
    assert key_id in cli.text("keys", "lookup", stdin=secret)
    assert cli.refusal("keys", "lookup", stdin="nonsense") == (
        "that is not a secret of this authority"
    )


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--expires-in", "soon", "must be a number and d, h, m or s, for instance 30d or 12h"),
        ("--expires-in", "99999999999d", "must be at most 36500d"),
        ("--expires-at", "tomorrow", "must be a time such as 2027-01-31T12:00:00Z"),
        ("--expires-at", "2027-01-31T12:00:00", "lacks its time zone"),
        ("--expires-at", "0001-01-01T00:00:00+10:00", "is beyond what a calendar holds"),
        ("--label", "team", "must be KEY=VALUE"),
    ],
)
def test_values_that_are_none_are_usage_errors(
    cli: Cli, option: str, value: str, sentence: str
) -> None:
    """The sentence names the option and says how it is written."""
    issue = ("keys", "issue", "--workspace", "ws_1", "--name", "x")

    refusal = cli.refusal(*issue, option, value, exit_code=2)

    assert f"'{option}'" in refusal
    assert sentence in refusal


def test_the_authority_s_own_limits_name_the_flag(cli: Cli) -> None:
    """What only the authority can judge comes back as its sentence, about what was typed."""
    issue = ("keys", "issue", "--workspace", cli.workspace(), "--name")

    assert cli.refusal(*issue, "x" * 101) == "--name is longer than 100 characters"
    assert cli.refusal(*issue, "x", "--expires-in", "0s").startswith("--expires-in is not between")
    assert cli.refusal("keys", "get", "key_1") == "no such key: key_1"
