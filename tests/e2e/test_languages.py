"""Clients in Go and Node, made of the contracts alone, against a real authority."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from keyauthority.cli.root import root
from tests.e2e.edge import Edge

HOUSE: Final = Path(__file__).parents[2]
GO: Final = Path(__file__).with_name("go")
NODE: Final = Path(__file__).with_name("node")
DESCRIPTORS: Final = HOUSE / "protos" / "keyauthority.binpb"

SOME_RULES: Final = (
    "fresh-until-the-first-grant",
    "a-lease-ends",
    "what-changed-is-dropped-and-acknowledged",
    "only-the-answer-of-a-later-call",
)
"""Rules that need all parts of a verifier; the others take a start of Node each as well."""

PLUGINS: Final = [
    (*plugin["local"], "--version")
    for plugin in yaml.safe_load((HOUSE / "buf.gen.yaml").read_text())["plugins"]
]
LIBRARIES: Final = (
    *("go", "build", "google.golang.org/grpc"),
    "google.golang.org/genproto/googleapis/rpc/errdetails",
)
"""What has to be there before our own code is built: `.ci/run` does the same, with more patience."""


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of `tests/e2e/go`, on code that `buf generate` makes."""
    if shutil.which("go") is None:
        pytest.skip("needs go: install Go 1.25 or newer")
    for command in (LIBRARIES, *PLUGINS):
        _fetch(command)
    folder = tmp_path_factory.mktemp("go")
    _made([str(Path(sys.executable).with_name("buf")), "generate", "-o", str(folder)], HOUSE)
    module = folder / "gen" / "go"
    for file in ("go.mod", "go.sum", "main.go"):
        shutil.copy(GO / file, module)
    _made(["go", "build", "-o", "client", "."], module)
    return module / "client"


def _fetch(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, cwd=GO, check=False, capture_output=True, timeout=30)
    except subprocess.TimeoutExpired:
        pytest.skip(f"needs what this builds: cd tests/e2e/go && {' '.join(command)}")
    if done.returncode != 0:
        pytest.skip("needs the modules of tests/e2e/go: go can't reach its proxy")


def _made(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def seen(command: list[str], edge: Edge, folder: Path | None = None) -> dict[str, Any]:
    """What a client says of its calls, apart from the id of the key that it made."""
    token = (edge.data_dir / "root.token").read_text().strip()
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "TOKEN": token},
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document.pop("key") == document["before"].pop("key")
    return document


def expected(workspace: str, not_found: str) -> dict[str, Any]:
    return {
        "before": {
            "verdict": "VERDICT_VALID",
            "workspace": workspace,
            "labels": {"team": "search"},
        },
        "state": "KEY_STATE_REVOKED",
        "after": "VERDICT_REVOKED",
        "refusal": {
            "status": not_found,
            "reason": "KEY_NOT_FOUND",
            "domain": "keyauthority.opentoken.kr",
            "metadata": {"key_id": "key_0123456789ABCDEF"},
        },
    }


@pytest.mark.timeout(180)
def test_a_client_in_go(go_client: Path, edge: Edge, workspace: str) -> None:
    """Generated with the shipped `buf.gen.yaml`: issues, verifies, revokes, and reads an error's detail."""
    document = seen([str(go_client), edge.address, workspace], edge)
    assert document == expected(workspace, "NotFound")


def test_a_client_in_node(node: str, edge: Edge, workspace: str) -> None:
    """The same with nothing but the descriptor set."""
    command = [node, "grpc_client.js", str(DESCRIPTORS), edge.address, workspace]
    assert seen(command, edge, NODE) == expected(workspace, "NOT_FOUND")


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_verifier_in_node_keeps_the_rules(node: str) -> None:
    """One that was written after docs/sync-protocol.md alone."""
    rules = [f"--rule={rule}" for rule in SOME_RULES if not os.environ.get("TEST_LONG")]
    program = [node, str(NODE / "verifier.js"), str(DESCRIPTORS)]
    result = CliRunner().invoke(root, ["--json", "verifier-check", *rules, "--", *program])

    outcomes = json.loads(result.stdout)["rules"]
    assert len(outcomes) >= len(SOME_RULES)
    assert [outcome for outcome in outcomes if not outcome["kept"]] == []


def test_the_descriptor_set_is_whole() -> None:
    """All contracts, what they import, and what errors are made of."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    for path in HOUSE.glob("protos/keyauthority/v1/*.proto"):
        name = f"keyauthority/v1/{path.name}"
        assert pool.FindFileByName(name).name == name
    for name in ("google.rpc.Status", "google.rpc.ErrorInfo"):
        assert pool.FindMessageTypeByName(name).full_name == name
