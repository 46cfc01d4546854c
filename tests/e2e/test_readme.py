"""The README's commands and programs, as they stand; only ports are others than it says."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keyauthority.client import Secret, connect_blocking, load_token
from keyauthority.client.admin import (
    BlockingAdminClient,
    keys,
    ledger,
    verification,
    workspaces,
)
from keyauthority.domain.ledger import EntryFilter
from tests.e2e.processes import run
from tests.e2e.running_demo import Demo, demo_in
from tests.node import FOLDER

README = Path(__file__).parents[2] / "README.md"
PORTS = {
    "8080": "GATEWAY_PORT",
    "8081": "CONSOLE_PORT",
    "9090": "UPSTREAM_PORT",
    "50051": "AUTHORITY_PORT",
}
SHELL = ("bash", "-eo", "pipefail", "-c")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo as after `make run`, in a folder that looks like the repository's."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").symlink_to(sys.prefix)
    with demo_in(folder) as demo:
        demo.start()
        yield demo


def blocks(demo: Demo, language: str) -> list[str]:
    """The README's blocks in *language*, with the demo's ports."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    ports = {said: str(demo.ports[variable]) for said, variable in PORTS.items()}
    return [re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda at: ports[at[0]], text) for text in found]


def secret_of(demo: Demo) -> str:
    return (demo.data_dir / "demo.key").read_text().strip()


def type_in(demo: Demo, command: list[str], *programs: str) -> str:
    """Runs *command* in the demo's folder, and returns what it prints."""
    folders = [str(Path(program).parent) for program in programs]
    environment = {
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "OPENTOKEN_API_KEY": secret_of(demo),
        # For commands that name no port, since the usual one is meant.
        "KEYAUTHORITY_ADDRESS": f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}",
        "no_proxy": "127.0.0.1",
    }
    done = run(command, cwd=demo.folder, env=environment)
    assert done.returncode == 0, f"{command[-1]}\n{done.stderr}"
    return done.stdout


def test_its_commands_work_as_pasted(demo: Demo) -> None:
    """Block after block, each to its end without an error."""
    told = "".join(
        type_in(demo, [*SHELL, block]) for block in blocks(demo, "sh") if "grpcurl" not in block
    )

    for words in (
        "You said: Hello",
        "It adds up",
        "credit_balance_exhausted",
        "Added 10 credits",
        "verdict:    valid",
        "key-revoked",
    ):
        assert words in told


def test_its_grpcurl_commands_work_as_pasted(demo: Demo, grpcurl_program: str) -> None:
    """With the root token."""
    told = "".join(
        type_in(demo, [*SHELL, block], grpcurl_program)
        for block in blocks(demo, "sh")
        if "grpcurl" in block
    )

    for words in ("keyauthority.v1.KeyService", "rpc IssueKey", '"verdict": "VERDICT_VALID"'):
        assert words in told


def test_its_python_program_runs(demo: Demo) -> None:
    """It prints an answer."""
    program = blocks(demo, "python")[0]

    assert type_in(demo, [sys.executable, "-c", program]).startswith("You said: Hello")


def test_its_node_program_runs(demo: Demo, node: str) -> None:
    """It prints an answer."""
    (program,) = blocks(demo, "js")
    (demo.folder / "program.mjs").write_text(program)
    (demo.folder / "node_modules").mkdir()
    (demo.folder / "node_modules" / "openai").symlink_to(FOLDER / "node_modules" / "openai-6")

    assert type_in(demo, [node, "program.mjs"]).startswith("You said: Hello")


async def test_the_verifying_service_bills_the_keys_workspace(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the credential that the demo has made for its gateway."""
    billed: list[str] = []
    given: dict[str, Any] = {"secret": secret_of(demo), "bill": billed.append}
    monkeypatch.chdir(demo.folder)
    program = "async def service():\n" + textwrap.indent(blocks(demo, "python")[1], "    ")

    exec(compile(program, "README.md", "exec"), given)
    await given["service"]()

    assert len(billed) == 1
    assert billed[0].startswith("ws_")


async def test_the_spending_service_charges(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the credential and the spool of the demo's gateway: its request is in the ledger."""

    async def call_upstream() -> SimpleNamespace:
        return SimpleNamespace(cost=1_000)

    given: dict[str, Any] = {"secret": secret_of(demo), "call_upstream": call_upstream}
    monkeypatch.chdir(demo.folder)
    program = "async def service():\n" + textwrap.indent(blocks(demo, "python")[2], "    ")

    exec(compile(program, "README.md", "exec"), given)
    await given["service"]()

    token = load_token(demo.data_dir / "root.token")
    with connect_blocking(f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}") as channel:
        client = BlockingAdminClient(channel, token)
        verified = client.call(verification.verify(Secret(secret_of(demo))))
        which = EntryFilter(verified.workspace_id, model="gpt-5")
        [charge] = client.call(ledger.page(which)).records
    assert (charge.amount, charge.use.request_id) == (-1_000, "req_1")


def test_the_administering_program_runs(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """It issues a key, whose id it prints and whose secret it doesn't."""
    monkeypatch.chdir(demo.folder)
    token = load_token(demo.data_dir / "root.token")
    printed: list[str] = []
    with connect_blocking(f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}") as channel:
        client = BlockingAdminClient(channel, token)
        workspace = client.call(workspaces.create("acme"))
        given: dict[str, Any] = {"workspace_id": workspace.id, "print": printed.append}

        exec(compile(blocks(demo, "python")[3], "README.md", "exec"), given)

        issued = client.call(keys.page(workspace.id)).records
    assert [key.id for key in issued] == printed
