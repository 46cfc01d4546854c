"""Whether the authority answers, and who asks it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from tests.cli.parts import Cli
from tests.ports import free_port


def test_whoami_tells_the_caller_and_what_it_may_do(cli: Cli, tmp_path: Path) -> None:
    """Any role may ask; which file the token came from is said, the token is not."""
    token = tmp_path / "verifier.token"
    workspace = cli.workspace()
    create = ("callers", "create", "who am I", "--role", "verifier", "--role", "issuer")
    cli.text(*create, "--workspace", workspace, "--token-file", str(token))
    asking = ("whoami", "--token-file", str(token))

    text, document = cli.text(*asking), cli.json(*asking)

    caller = document["caller"]
    assert (caller["name"], caller["workspace_ids"]) == ("who am I", [workspace])
    assert document["server_version"] == version("opentoken-keyauthority")
    for words in (caller["id"], "verifier issuer", workspace, str(token), cli.address):
        assert words in text
    assert token.read_text().strip() not in text + str(document)
    assert cli.text(*asking, "-q").strip() == caller["id"]


def test_status_tells_what_the_authority_is_busy_with(cli: Cli, tmp_path: Path) -> None:
    """Its version and verifiers; a caller that may not see these learns that it answers."""
    token = tmp_path / "issuer.token"
    cli.text("callers", "create", "asks", "--role", "issuer", "--token-file", str(token))

    text, document = cli.text("status"), cli.json("status")
    limited = cli.json("status", "--token-file", str(token))

    assert re.search(
        rf"^{cli.address} +{version('opentoken-keyauthority')} .* answers$", text, re.MULTILINE
    )
    assert re.search(
        r"^verifiers:  \d+ verifiers?, \d+ silent, \d+ that were late$", text, re.MULTILINE
    )
    assert (document["verifiers"] >= 1, document["epoch"], document["pepper"]) == (True, "1", 1)
    assert limited.keys() == {"authorities"}


def test_status_says_which_of_several_does_not_answer(cli: Cli) -> None:
    """The others are told of all the same, and the exit status says that not all is well."""
    dead = f"127.0.0.1:{free_port()}"

    result = cli("status", "--address", f"{cli.address},{dead}")
    document = cli.json("status", "--address", f"{cli.address},{dead}", exit_code=1)

    assert result.exit_code == 1
    assert re.search(rf"^{cli.address} .* answers$", result.stdout, re.MULTILINE)
    assert f"connection refused at {dead}" in result.stdout
    assert "epoch:" in result.stdout
    assert [one["answers"] for one in document["authorities"]] == [True, False]
