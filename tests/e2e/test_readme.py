"""The commands and programs of README and its documents, as they stand, at the demo's moved ports."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from keyauthority.client import Secret, connect_blocking, load_token
from keyauthority.client.admin import (
    BlockingAdminClient,
    KeySettings,
    keys,
    ledger,
    verification,
    workspaces,
)
from keyauthority.domain.ledger import EntryFilter
from tests.e2e.processes import Process, eventually, is_listening, run
from tests.e2e.running_demo import Demo, demo_in
from tests.node import FOLDER
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
README, CLIENTS = ROOT / "README.md", ROOT / "docs" / "clients.md"
COMMAND_LINE = ROOT / "docs" / "command-line.md"
SHELL = ("bash", "-eo", "pipefail", "-c")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo as after `make run` in another folder, with ports that README doesn't name."""
    with demo_in(tmp_path_factory.mktemp("clone")) as demo:
        demo.start()
        yield demo


def blocks(document: Path, language: str) -> list[str]:
    text = document.read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def environment(demo: Demo) -> dict[str, str]:
    """What a shell has in which the lines were pasted that the demo prints."""
    exports = re.findall(r"^  (export \w+=.*)$", demo.welcome, re.MULTILINE)
    assert len(exports) == 5, demo.welcome
    shell = {"PATH": os.environ["PATH"], "HOME": str(demo.folder), "no_proxy": "127.0.0.1"}
    done = run([*SHELL, "\n".join([*exports, "env"])], env=shell)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def type_in(demo: Demo, command: list[str], *programs: str) -> str:
    """Runs *command* in the demo's folder, and returns what it prints."""
    variables = environment(demo)
    folders = [str(Path(program).parent) for program in programs]
    variables["PATH"] = os.pathsep.join([variables["PATH"], *folders])
    done = run(command, cwd=demo.folder, env=variables)
    assert done.returncode == 0, f"{command[-1]}\n{done.stderr}"
    return done.stdout


def test_its_commands_work_as_pasted(demo: Demo) -> None:
    """Block after block, each to its end without an error, README's before those of its documents."""
    shown = "".join(
        type_in(demo, [*SHELL, block])
        for document in (README, CLIENTS, COMMAND_LINE)
        for block in blocks(document, "sh")
        if "grpcurl" not in block
    )
    # A second time, too: a new workspace may have the name of another.
    [issuing] = [block for block in blocks(README, "sh") if "keys rotate" in block]
    type_in(demo, [*SHELL, issuing])

    for words in (
        "You said: Hello",
        "It adds up",
        "credit_balance_exhausted",
        "Added 10 credits",
        "verdict:    valid",
        "key-revoked",
        "summaries.token",
    ):
        assert words in shown
    assert (demo.folder / "ci.key").read_text().startswith("sk-optk-")


def test_its_grpcurl_commands_work_as_pasted(demo: Demo, grpcurl_program: str) -> None:
    """With the root token."""
    [block] = [block for block in blocks(CLIENTS, "sh") if "grpcurl" in block]

    shown = type_in(demo, [*SHELL, block], grpcurl_program)

    for words in ("keyauthority.v1.KeyService", "rpc IssueKey", '"verdict": "VERDICT_VALID"'):
        assert words in shown


def test_its_programs_are_the_examples() -> None:
    """Each program that is shown is a file, which mypy checks and the tests below run; none is left out."""
    programs = [
        program
        for document in (README, CLIENTS)
        for language in ("python", "js")
        for program in blocks(document, language)
    ]
    files = [file.read_text() for file in EXAMPLES.iterdir() if file.is_file()]

    assert sorted(programs) == sorted(files)


@pytest.mark.parametrize(
    ("program", "prints"),
    [
        ("chat.py", r"You said: Hello \(billed to ws_\w+\)\n"),
        ("verify.py", r"200 Hello, ws_\w+\n401 MALFORMED\n"),
        ("administer.py", r"issued key_\w+\nrevoked, confirmed by \d verifiers\n"),
    ],
)
def test_its_python_programs_run(demo: Demo, program: str, prints: str) -> None:
    """They print what they promise."""
    printed = type_in(demo, [sys.executable, str(EXAMPLES / program)])

    assert re.fullmatch(prints, printed), printed


def test_its_node_program_runs(demo: Demo, node: str) -> None:
    """It prints an answer."""
    (demo.folder / "chat.mjs").write_text((EXAMPLES / "chat.mjs").read_text())
    (demo.folder / "node_modules").mkdir()
    (demo.folder / "node_modules" / "openai").symlink_to(FOLDER / "node_modules" / "openai-6")

    assert type_in(demo, [node, "chat.mjs"]).startswith("You said: Hello")


def test_the_spending_program_charges(demo: Demo) -> None:
    """What it charged is in the ledger, once; its spool is its own."""
    printed = type_in(demo, [sys.executable, str(EXAMPLES / "spend.py")])

    assert printed == "200 short\n"
    with connect_blocking(f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}") as channel:
        client = BlockingAdminClient(channel, load_token(demo.data_dir / "root.token"))
        secret = Secret((demo.data_dir / "demo.key").read_text().strip())
        verified = client.call(verification.verify(secret))
        which = EntryFilter(verified.workspace_id, model="summaries")
        [charge] = client.call(ledger.page(which)).records
    assert (charge.amount, charge.use.request_id) == (-200_000, "req_1")


@contextmanager
def serving(demo: Demo, module: str, *arguments: str, port: int) -> Iterator[str]:
    """The address of a service of the examples, while the context lasts."""
    variables = {**environment(demo), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = Process(demo.folder / "logs", module, *arguments, env=variables)
    try:
        eventually("it serves", lambda: is_listening(port) or not process.is_running())
        assert process.is_running(), process.stderr.read_text()
        yield f"http://127.0.0.1:{port}/v1/hello"
    finally:
        process.stop()


def status(url: str, authorization: str) -> tuple[int, str]:
    """The status and the body of what is answered."""
    headers = {"Authorization": authorization} if authorization else {}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


@pytest.mark.parametrize("framework", ["fastapi", "django"])
def test_the_services_of_frameworks_refuse_and_accept(demo: Demo, framework: str) -> None:
    """As real servers: the demo's key is let in, and its workspace is known; others are refused."""
    for package in ("uvicorn", "fastapi") if framework == "fastapi" else ("django",):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: make setup")
    port = free_port()
    if framework == "fastapi":
        command = ["uvicorn", "examples.fastapi_service:app", "--port", str(port)]
    else:
        command = ["examples.django_service", "runserver", "--noreload", str(port)]
    secret = (demo.data_dir / "demo.key").read_text().strip()
    limited, allowed, suspended = other_keys(demo)

    with serving(demo, *command, port=port) as url:
        accepted = status(url, f"Bearer {secret}")
        others = [status(url, f"Bearer {one}")[0] for one in (limited, allowed, suspended)]
        refused = [status(url, one)[0] for one in ("", "Basic x", "Bearer sk-optk-nonsense")]

    assert accepted[0] == 200, accepted
    assert json.loads(accepted[1])["workspace"].startswith("ws_")
    assert refused == [401, 401, 401]
    assert others == [403, 200, 403]


def test_the_verifying_program_tells_refusals_apart(demo: Demo) -> None:
    """A key for other things and one of a suspended workspace are good keys: 403."""
    limited, allowed, suspended = other_keys(demo)
    command = [sys.executable, str(EXAMPLES / "verify.py")]
    statuses = [
        run(command, env={**environment(demo), "OPENTOKEN_API_KEY": one}).stdout[:3]
        for one in (limited, allowed, suspended)
    ]

    assert statuses == ["403", "200", "403"]


def other_keys(demo: Demo) -> tuple[str, str, str]:
    """Secrets: of a key for other things, of one for this, and of one of a suspended workspace."""
    with connect_blocking(f"127.0.0.1:{demo.ports['AUTHORITY_PORT']}") as channel:
        client = BlockingAdminClient(channel, load_token(demo.data_dir / "root.token"))
        places = [client.call(workspaces.create(name)).id for name in ("open", "suspended")]
        issued = [
            client.call(keys.issue(place, KeySettings("other", scopes=scopes))).secret.reveal()
            for place, scopes in (
                (places[0], ("models:read",)),
                (places[0], ("hello:read",)),
                (places[1], ()),
            )
        ]
        client.call(workspaces.update(places[1], suspended=True))
    return issued[0], issued[1], issued[2]
