"""Secrets given the wrong way are refused, and never repeated."""

from __future__ import annotations

import os

import pytest

from keyauthority.domain import secrets
from tests.cli.parts import PATIENCE, Cli

SECRETS = [
    secrets.mint(secrets.new_id("key")).reveal(),
    secrets.mint(secrets.new_id("caller"), secrets.TOKEN_PREFIX).reveal(),
]


@pytest.mark.parametrize("secret", SECRETS, ids=["key", "token"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "{}"),
        ("keys", "lookup", "{}"),
        ("keys", "revoke", "{}"),
        ("keys", "get", "x{}x"),
        ("keys", "issue", "--workspace", "ws_1", "--name", "{}"),
        ("--token-file", "{}", "keys", "list"),
        ("{}",),
    ],
)
def test_a_secret_in_an_argument_is_refused(
    cli: Cli, arguments: tuple[str, ...], secret: str
) -> None:
    """It was visible to the whole machine: the sentence says so, and how it is done instead."""
    refusal = cli.refusal(*(one.format(secret) for one in arguments), exit_code=2)

    assert refusal.startswith("an argument holds a secret")
    assert "standard input" in refusal
    assert secret[12:] not in refusal


def test_a_hint_in_an_argument_is_none(cli: Cli) -> None:
    """What the tables show may be quoted, in a note for instance."""
    key_id, secret = cli.issue()
    hint = f"{secret[:12]}…{secret[-4:]}"

    revoked = cli.json("keys", "revoke", key_id, "--note", f"found {hint} on a forum")

    assert revoked["key"]["revocation_note"] == f"found {hint} on a forum"


def test_a_token_where_its_file_should_be_named_is_not_repeated(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake is named, the token isn't."""
    token = SECRETS[1]
    monkeypatch.setenv("KEYAUTHORITY_TOKEN_FILE", token)

    refusal = cli.refusal("keys", "list", exit_code=2)

    assert refusal == (
        "--token-file (KEYAUTHORITY_TOKEN_FILE) must name the file with the token, not hold it"
    )


def test_an_argument_that_is_no_text_is_refused(cli: Cli) -> None:
    """Bytes that are not UTF-8 end in a sentence."""
    process = cli.start("workspaces", "create", os.fsdecode(b"\xff"))

    stdout, stderr = process.communicate(timeout=PATIENCE)

    assert (process.returncode, stdout) == (2, "")
    assert stderr.endswith("Error: an argument is not UTF-8\n")
