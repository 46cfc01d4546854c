"""Taking over keys, and revoking by secret, from the command line."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import grpc
import pytest

from keyauthority.cli import importing
from keyauthority.cli.failures import Failure
from keyauthority.cli.import_lines import Line
from keyauthority.client import Secret
from keyauthority.client.admin import ImportedKey, KeySettings, Reason, SpreadingError, keys
from tests.cli.parts import Cli

COUNT = 2_500


def foreign() -> str:
    return f"pk_live_{secrets.token_hex(16)}"


def lines(*keys: Any) -> str:
    return "".join(json.dumps(key) + "\n" for key in keys)


def test_import_reads_a_file(cli: Cli, tmp_path: Path) -> None:
    """All that a line says is what the key has; its secret acts, and is not shown again."""
    workspace, first, second = cli.workspace(), foreign(), foreign()
    file = tmp_path / "keys.jsonl"
    full = {
        "secret": first,
        "name": "laptop",
        "scopes": ["models:read", "chat"],
        "labels": {"team": "red"},
        "expire_time": "2030-01-31T21:00:00+09:00",
    }
    file.write_text(lines(full) + "\n" + lines({"secret": second, "name": "desktop"}))

    result = cli("--json", "keys", "import", "--workspace", workspace, str(file))

    assert (result.exit_code, result.stderr) == (0, "")
    one, two = json.loads(result.stdout)["keys"]
    assert (one["name"], one["workspace_id"], one["scopes"]) == (
        *("laptop", workspace, full["scopes"]),
    )
    assert (one["labels"], one["expire_time"]) == ({"team": "red"}, "2030-01-31T12:00:00Z")
    assert (two["name"], two["scopes"]) == ("desktop", [])
    assert "expire_time" not in two
    assert first not in result.output
    assert second not in result.output
    for secret in (first, second):
        assert cli.json("verify", stdin=secret)["verdict"] == "VERDICT_VALID"
        assert secret not in cli.text("keys", "lookup", stdin=secret)


def test_import_reads_standard_input_and_says_what_it_did(cli: Cli) -> None:
    """In a sentence, with a lifetime that counts from now."""
    workspace = cli.workspace()
    one = {"secret": foreign(), "name": "x", "expires_in": "30d"}

    said = cli.text("keys", "import", "--workspace", workspace, "-", stdin=lines(one))

    assert said.startswith(f"Imported 1 key into {workspace}. In force everywhere as of revision ")
    assert "expire_time" in cli.json("keys", "list", "--workspace", workspace)["keys"][0]


def test_many_are_imported_a_thousand_at_a_time(cli: Cli) -> None:
    """How far it is is told beside the output; a program gets one document with all of them."""
    workspace = cli.workspace()
    keys = [{"secret": foreign(), "name": str(number)} for number in range(COUNT)]
    taking = ("keys", "import", "--workspace", workspace, "-")

    result = cli(*taking, stdin=lines(*keys))

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Imported 2,500 keys into {workspace}. ")
    assert result.stderr.splitlines() == [
        "1,000 of 2,500 keys are imported.",
        "2,000 of 2,500 keys are imported.",
        "2,500 of 2,500 keys are imported.",
    ]
    more = [{"secret": foreign(), "name": str(number)} for number in range(COUNT)]
    names = [key["name"] for key in cli.json(*taking, stdin=lines(*more))["keys"]]
    assert names == [str(number) for number in range(COUNT)]


def test_a_line_that_is_refused_later(cli: Cli) -> None:
    """The sentence names the line and how to go on, and going on so works."""
    workspace = cli.workspace()
    taking = ("keys", "import", "--workspace", workspace, "-")
    keys = [{"secret": foreign(), "name": str(number)} for number in range(1_200)]
    wrong = [*keys[:1_100], {"secret": keys[7]["secret"], "name": "again"}, *keys[1_100:]]

    result = cli(*taking, stdin=lines(*wrong))

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: line 1101: secret belongs to a key already; the keys before line 1001 are imported: "
        "go on with --from-line 1001"
    )
    assert keys[7]["secret"] not in result.output
    assert "Imported 200 keys" in cli.text(*taking, "--from-line", "1001", stdin=lines(*keys))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "is not one JSON object"),
        ("[]", "is not one JSON object"),
        ('"text"', "is not one JSON object"),
        ("[" * 100_000, "is not one JSON object"),
        ({"secret": "SECRET"}, "name is missing, or not a text"),
        ({"name": "x"}, "secret is missing, or not a text"),
        ({"secret": 12, "name": "x"}, "secret is missing, or not a text"),
        ({"secret": "SECRET", "name": "x", "scopes": "chat"}, "scopes is not a list of texts"),
        ({"secret": "SECRET", "name": "x", "scopes": [1]}, "scopes is not a list of texts"),
        ({"secret": "SECRET", "name": "x", "labels": {"a": 1}}, "labels is not an object of texts"),
        ({"secret": "SECRET", "name": "x", "labels": []}, "labels is not an object of texts"),
        ({"secret": "SECRET", "name": "x", "expire_time": "SECRET"}, "expire_time must be a time"),
        ({"secret": "SECRET", "name": "x", "expires_in": "SECRET"}, "expires_in must be a number"),
        (
            {"secret": "SECRET", "name": "x", "expires_in": "1d", "expire_time": ""},
            "expire_time and expires_in exclude one another",
        ),
        ({"secret": "SECRET", "name": "\ud800"}, "holds text that is not Unicode"),
        ({"SECRET": "name"}, "has a field other than secret, name, scopes, labels"),
        ({"secret": "SECRET x", "name": "x"}, "secret is not 16 to 256 visible ASCII characters"),
        ({"secret": "sk-optk-SECRET", "name": "x"}, "secret begins like the secrets that this"),
        ({"secret": "SECRET", "name": ""}, "name is empty"),
    ],
)
def test_a_line_that_is_wrong(cli: Cli, line: Any, sentence: str) -> None:
    """The sentence names it, repeats nothing of it, and nothing was imported."""
    workspace, good, secret = cli.workspace(), foreign(), foreign()
    text = line if isinstance(line, str) else json.dumps(line).replace("SECRET", secret)
    given = lines({"secret": good, "name": "good"}) + "\n" + text + "\n"

    refusal = cli.refusal("keys", "import", "--workspace", workspace, "-", stdin=given)

    assert refusal.startswith(f"line 3: {sentence}")
    assert secret not in refusal
    assert cli.json("verify", stdin=good, exit_code=1)["verdict"] == "VERDICT_UNKNOWN"


def test_an_import_that_still_spreads() -> None:
    """It is made: the sentence says where to go on, not to repeat it."""
    error = SpreadingError(
        "spreading", grpc.StatusCode.DEADLINE_EXCEEDED, Reason.REVOCATION_SPREADING
    )
    failure = Failure("spreading: repeat", error)
    batch = [Line(number, ImportedKey(Secret(""), KeySettings(""))) for number in (3, 5)]

    assert importing._explained(failure, batch, first=True) == (
        "the keys up to line 5 are imported, but not every verifier knows yet: go on with "
        "--from-line 6 if there are more"
    )


def test_long_keys_go_in_smaller_batches() -> None:
    """No batch is larger than a message may be."""
    labels = {"😀" * number: "😀" * 63 for number in range(47, 63)}
    key = ImportedKey(Secret(""), KeySettings("", labels=labels))
    lines = [Line(number, key) for number in range(1, 2_001)]

    batches = list(importing._batches(lines))

    assert [line for batch in batches for line in batch] == lines
    sizes = [keys.imported_key(line.key).ByteSize() for line in lines]
    assert sizes[0] * max(map(len, batches)) <= 4 << 20
    assert max(map(len, batches)) < 1_000


def test_nothing_to_import(cli: Cli, tmp_path: Path) -> None:
    """An empty file, one that is none, one that is no text."""
    taking = ("keys", "import", "--workspace", "ws_1")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")

    assert cli.refusal(*taking, "-", stdin="\n") == "there is no key to import"
    assert "No such file" in cli.refusal(*taking, str(tmp_path / "none"), exit_code=2)
    assert cli.refusal(*taking, str(binary)) == "the file to import is not UTF-8 text"


def test_revoke_presented(cli: Cli) -> None:
    """The secret is read from standard input, and its key is over."""
    key_id, secret = cli.issue()

    said = cli.text("keys", "revoke-presented", "--note", "on a forum", stdin=f"{secret}\n")
    again = cli.json("keys", "revoke-presented", stdin=secret)

    assert said.startswith(f"Revoked {key_id}. In force everywhere as of revision ")
    assert secret not in said
    assert (again["key_id"], set(again)) == (key_id, {"key_id", "receipt"})
    assert "compromised: on a forum" in cli.text("keys", "get", key_id)
    assert cli.refusal("keys", "revoke-presented", stdin="noise") == (
        "that is not a secret of this authority"
    )
