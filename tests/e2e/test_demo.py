"""`make run` as a newcomer meets it: what it prints is pasted into another shell."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.parts import Cli, serving
from tests.console.visiting import Visitor
from tests.e2e.processes import eventually, is_listening, run
from tests.e2e.running_demo import Demo


def printed_command(said: str, program: str, *words: str) -> str:
    """The command that begins with *program* and has all *words*, with its continued lines."""
    commands = re.findall(rf"^  (\S*{program} (?:.*\\\n)*.*)$", said, re.MULTILINE)
    [command] = [one for one in commands if all(word in one for word in words)]
    return str(command)


def paste(command: str, folder: Path) -> str:
    """Types it into another shell, in another folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "no_proxy": "127.0.0.1"}
    done = run(["sh", "-c", command], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def call(said: str, folder: Path, model: str = "") -> tuple[int, dict[str, Any]]:
    """The status and the JSON of what the printed curl gets; of another model, if one is named."""
    curl = printed_command(said, "curl").replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
    if model:
        curl = curl.replace("google/gemini-3-flash", model)
    body, _, status = paste(curl, folder).rpartition("\n")
    return int(status), json.loads(body)


def test_what_it_prints_works_as_pasted(demo: Demo, tmp_path: Path) -> None:
    """The curl answers; after the printed revocation the same curl is refused."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = demo.start()

    status, answer = call(said, elsewhere)
    assert status == 200
    assert answer["object"] == "chat.completion"

    paste(printed_command(said, "keyauthority", "keys revoke"), elsewhere)
    assert call(said, elsewhere) == (
        401,
        {
            "error": {
                "message": "invalid api key",
                "type": "authentication_error",
                "code": "invalid_key",
            }
        },
    )


def test_the_credits_are_spent_and_topped_up_as_it_says(demo: Demo, tmp_path: Path) -> None:
    """Two requests of the dear model spend all; after the printed top-up the curl answers at once."""
    said = demo.start()

    dear = "opentoken/premium"
    assert [call(said, tmp_path, dear)[0] for _ in range(3)] == [200, 200, 402]
    status, answer = call(said, tmp_path)
    assert (status, answer["error"]["code"]) == (402, "credit_balance_exhausted")
    entries = printed_command(said, "keyauthority", "ledger entries")
    eventually("the charges are entered", lambda: paste(entries, tmp_path).count(dear) == 2)

    paste(printed_command(said, "keyauthority", "ledger top-up"), tmp_path)
    assert call(said, tmp_path)[0] == 200


def test_a_folder_from_before_credits_gets_a_root_that_has_every_role(
    demo: Demo, tmp_path: Path
) -> None:
    """Roles never change, so the printed top-up would be refused; the console would see no credits."""
    older = ("--role", "verifier", "--role", "issuer", "--role", "admin")
    with serving(demo.data_dir) as cli:
        for name in ("root", "console"):
            file = tmp_path / f"{name}.token"
            cli.text("callers", "create", f"old {name}", *older, "--token-file", str(file))
        for name in ("root", "console"):
            (tmp_path / f"{name}.token").replace(demo.data_dir / f"{name}.token")
        assert "lacks the role biller" in cli.refusal("ledger", "balance", "ws_1")

    said = demo.start()

    paste(printed_command(said, "keyauthority", "ledger top-up"), tmp_path)
    assert call(said, tmp_path)[0] == 200
    cli = Cli(f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}", demo.data_dir)
    callers = cli.json("callers", "list", "--all")["callers"]
    billers = [one["name"] for one in callers if any("BILLER" in role for role in one["roles"])]
    assert [name.split()[:2] for name in billers] == [
        ["demo", "console"],
        ["demo", "root"],
        ["root"],
    ]
    tokens = [(demo.data_dir / f"{name}.token").read_text() for name in ("root", "console")]
    demo.stop()
    demo.start()
    assert tokens == [(demo.data_dir / f"{name}.token").read_text() for name in ("root", "console")]


def test_it_leaves_nothing_behind_and_starts_again_with_the_same_key(
    demo: Demo, tmp_path: Path
) -> None:
    """Ctrl-C, a kill and a closed terminal end every process it started, and free the ports."""
    demo.start()
    key_file = demo.data_dir / "demo.key"
    key = key_file.read_text()
    assert key_file.stat().st_mode & 0o777 == 0o600

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert len(demo.processes()) == 4
        assert demo.stop(number) == 0
        assert demo.processes() == []
        assert not any(is_listening(port) for port in demo.ports.values())
        said = demo.start()

    assert key_file.read_text() == key
    assert call(said, tmp_path)[0] == 200


def test_the_console_greets_its_first_owner_and_later_everybody(demo: Demo) -> None:
    """The printed link makes the owner, who sees the demo's key; the next start prints none."""
    said = demo.start()
    port = demo.ports["CONSOLE_PORT"]
    link = re.search(rf"^  http://127\.0\.0\.1:{port}(/setup/\S+)$", said, re.MULTILINE)
    assert link is not None, said
    owner = Visitor(port)
    typed = {"email": "me@example.com", "name": "Me", "password": "four words are enough"}
    shown = owner.follow(owner.submit(owner.get(link[1]), link[1], **typed))
    assert "sk-optk-" in shown.text
    assert owner.get(link[1]).status == 404

    demo.stop()
    said = demo.start()

    assert "/setup/" not in said
    assert f"Sign in to the console: http://127.0.0.1:{port}" in said
    assert "API keys" in owner.follow(owner.get("/")).text


def test_a_revoked_demo_key_is_replaced_at_the_next_start(demo: Demo, tmp_path: Path) -> None:
    """And it says so, so that nobody wonders."""
    said = demo.start()
    paste(printed_command(said, "keyauthority", "keys revoke"), tmp_path)
    demo.stop()

    said = demo.start()

    assert "this is a new one" in said
    assert call(said, tmp_path)[0] == 200


def test_killed_children_end_the_demo_which_starts_again(demo: Demo, tmp_path: Path) -> None:
    """Nothing has to be cleared away by hand."""
    demo.start()
    assert demo.process is not None
    for pid in demo.processes():
        os.kill(pid, signal.SIGKILL)
    assert demo.process.wait() == 1

    assert call(demo.start(), tmp_path)[0] == 200


def test_a_port_in_use_is_named_with_what_moves_it(demo: Demo, tmp_path: Path) -> None:
    """In one sentence, before anything is started."""
    demo.start()
    second = Demo(tmp_path / "second")
    (tmp_path / "second").mkdir()
    second.ports = demo.ports

    with pytest.raises(AssertionError, match="AUTHORITY_PORT="):
        second.start()

    assert second.complaint().count("\n") == 1
    assert second.processes() == []
