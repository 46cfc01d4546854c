"""The command line, in process and as a process of its own, and an authority to point it at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from click.testing import CliRunner, Result

from keyauthority.cli.root import root
from keyauthority.client import bearer_metadata, load_token, person_metadata
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, IssueKeyResponse
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub

PATIENCE = 20.0


class Cli:
    """Runs commands against the authority at *address* with the token in *data_dir*."""

    def __init__(self, address: str, data_dir: Path) -> None:
        self.address = address
        self.data_dir = data_dir
        self.options = ("--address", address, "--data-dir", str(data_dir))

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        """What the command says and how it ends."""
        return CliRunner().invoke(root, [*self.options, *arguments], input=stdin)

    def text(self, *arguments: str, stdin: str = "") -> str:
        """What people read of a command that goes well."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str = "", exit_code: int = 0) -> Any:
        """What programs read of it: exactly one document."""
        result = self("--json", *arguments, stdin=stdin)
        assert (result.exit_code, result.stderr) == (exit_code, ""), result.output
        return json.loads(result.stdout)

    def refusal(self, *arguments: str, stdin: str = "", exit_code: int = 1) -> str:
        """The sentence that a command fails with; nothing else is said, in either form."""
        plain, as_json = (self(*form, *arguments, stdin=stdin) for form in ((), ("--json",)))
        assert (plain.exit_code, plain.stdout) == (exit_code, ""), plain.output
        assert (as_json.exit_code, as_json.stdout) == (exit_code, "")
        assert "Traceback" not in plain.stderr
        error = json.loads(as_json.stderr)["error"]
        assert error["exit_code"] == exit_code
        return plain.stderr.rpartition("Error: ")[2].strip()

    def error(self, *arguments: str, stdin: str = "", exit_code: int = 1) -> dict[str, Any]:
        """What programs read of a command that fails: one document, on standard error."""
        result = self("--json", *arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
        error: dict[str, Any] = json.loads(result.stderr)["error"]
        return error

    def workspace(self, name: str = "acme") -> str:
        """The id of a new workspace."""
        created: str = self.json("workspaces", "create", name)["workspace"]["id"]
        return created

    def issue(self, *arguments: str) -> tuple[str, str]:
        """The id and the secret of a new key, in a new workspace unless *arguments* name one."""
        if "--workspace" not in arguments:
            arguments += ("--workspace", self.workspace())
        issued = self.json("keys", "issue", "--name", "test", *arguments)
        return issued["key"]["id"], issued["secret"]

    def acting(self, name: str, token_file: Path) -> Callable[..., IssueKeyResponse]:
        """A new caller called *name*, which issues keys for people: their ids and names."""
        create = ("callers", "create", name, "--role", "issuer", "--acts-for-people")
        self.text(*create, "--token-file", str(token_file))

        def issue(workspace: str, *person: str) -> IssueKeyResponse:
            metadata = (*bearer_metadata(load_token(token_file)), *person_metadata(*person))
            request = IssueKeyRequest(workspace_id=workspace, name="test")
            with grpc.insecure_channel(self.address) as channel:
                issue_key = KeyServiceStub(channel).IssueKey
                response: IssueKeyResponse = issue_key(request, metadata=metadata, timeout=PATIENCE)
            return response

        return issue

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        command = [sys.executable, "-m", "keyauthority", *self.options, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, text=True, **(pipes | options))


@contextmanager
def serving(data_dir: Path, *arguments: str) -> Iterator[Cli]:
    """`keyauthority serve` on a free port, or as *arguments* say, while the context lasts."""
    log = data_dir.with_suffix(".log")
    command = [sys.executable, "-m", "keyauthority", "--data-dir", str(data_dir), "serve"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--listen", "localhost:0", *arguments],
            stderr=file,
            env={name: value for name, value in os.environ.items() if "KEYAUTHORITY" not in name},
        )
    try:
        port = _port(log, process)
        yield Cli(f"localhost:{port}", data_dir)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                port: int = json.loads(line)["port"]
                return port
        time.sleep(0.02)
    raise AssertionError(f"it does not serve: {log.read_text()}")
