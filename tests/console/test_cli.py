"""The command `keyauthority-console`: how it is started, refused and stopped."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.cli import main
from console.people import open_people
from keyauthority.base.process.files import write_private
from keyauthority.base.relational.outages import StorageError
from tests.console.living import OWNER, PASSWORD, Console
from tests.console.visiting import Shown, Visitor
from tests.e2e.cable import cable
from tests.e2e.edge import Edge
from tests.e2e.processes import Process, eventually, run
from tests.ports import free_port
from tests.postgres import empty_database, run_sql

COMMAND = [sys.executable, "-m", "console"]


def refusal(*arguments: str) -> str:
    """The one sentence of a start that its settings rule out."""
    result = CliRunner().invoke(main, ["--token-file", "/nonexistent/token", *arguments])
    assert result.exit_code == 2, (result.output, result.exception)
    [line] = result.output.splitlines()
    return line.removeprefix("Error: ")


def failure(*arguments: str) -> str:
    """The one sentence of a start that failed."""
    result = CliRunner().invoke(main, ["--listen", "127.0.0.1:0", *arguments])
    assert result.exit_code == 1, (arguments, result.output, result.exception)
    [line] = result.output.splitlines()
    return line.removeprefix("Error: ")


def test_the_help_lists_everything() -> None:
    """Every option says what it is for, and the subcommands are named."""
    help_text = CliRunner().invoke(main, ["--help"], terminal_width=100).output
    for option in main.params:
        assert option.opts[0] in help_text
        assert getattr(option, "help", ""), option.name
    assert re.search(r"^  migrate +Bring", help_text, re.MULTILINE)
    assert re.search(r"^  recover +Print", help_text, re.MULTILINE)


OIDC = ("--oidc-issuer", "https://login.example.com", "--oidc-client-id", "c")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--listen", "nowhere"), "--listen must be HOST:PORT, an IPv6 host in brackets"),
        (("--listen", "127.0.0.1:99999"), "lacks a port between 0 and 65535"),
        (("--listen", "0.0.0.0:8081"), "would take passwords in plaintext from the network"),
        (("--authority", "10.0.0.1:50051"), "would send keys in plaintext over the network"),
        (("--authority", "unix:/a,10.0.0.1:1"), "10.0.0.1:1 would send keys in plaintext"),
        (("--authority", "unix:/a,"), "must be HOST:PORT, an IPv6 host in brackets"),
        (("--tls-cert", "chain.pem"), "--tls-cert and --tls-key need one another"),
        (("--database", "mysql://u:canary@h/d"), "--database must be the path of a SQLite file"),
        (("--public-url", "console.example.com"), "--public-url must be a URL such as"),
        (("--public-url", "https://a.example/console"), "scheme, host and port, nothing more"),
        (("--public-url", "http://console.example.com"), "--public-url must be https://"),
        (("--api-url", ""), "--api-url must be a URL such as"),
        (("--api-url", "ftp://a.example"), "--api-url must be a URL such as"),
        (("--api-url", "https://u:canary@a.example"), "scheme, host and port, nothing more"),
        (("--local-accounts", "off"), "leaves no way to sign in: give --oidc-issuer too"),
        (("--oidc-client-id", "c"), "need --oidc-issuer"),
        (("--oidc-issuer", "https://login.example.com"), "client id must not be empty"),
        (("--oidc-issuer", "http://login.example.com"), "must be an https URL"),
        (("--oidc-issuer", "https://a.example?b=c", "--oidc-client-id", "c"), "neither query nor"),
        (("--session-idle", "0"), "--session-idle must be more than nothing"),
        (("--session-idle", "200"), "at most --session-lifetime"),
        (("--session-idle", "nan"), "--session-idle nan is no number of hours"),
        (("--session-lifetime", "1e300"), "is no number of hours"),
        (("--session-lifetime", "9601"), "--session-lifetime is at most 9600 hours"),
        (("--proxies", "-1"), "--proxies can't be negative"),
        (("--max-sign-ins", "-1"), "--max-sign-ins can't be negative"),
        (("--grace", "nan"), "--grace can't be negative"),
        (("--scope-rules", "no-such-file"), "--scope-rules no-such-file can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_settings_that_cannot_be(arguments: tuple[str, ...], sentence: str) -> None:
    """They are refused before anything is opened, in one sentence that says what to change."""
    refused = refusal(*arguments)
    assert sentence in refused
    assert "canary" not in refused


def test_a_token_is_needed() -> None:
    """Without one the console says where to name it."""
    ended = CliRunner().invoke(main, [], env={"CONSOLE_TOKEN_FILE": None})
    assert ended.exit_code == 2
    assert "no service token: give --token-file, or set CONSOLE_TOKEN_FILE" in ended.output


def test_the_client_secret_of_the_provider(tmp_path: Path) -> None:
    """Its file is read at the start, and must be for its owner alone."""
    secret = tmp_path / "client.secret"
    secret.write_text("canary\n")
    secret.chmod(0o644)
    for file in (secret, tmp_path / "missing"):
        ended = CliRunner().invoke(
            main, ["--token-file", "t", *OIDC, "--oidc-client-secret-file", str(file)]
        )
        assert ended.exit_code == 1
        assert str(file) in ended.output
        assert "canary" not in ended.output


def test_a_start_that_fails(tmp_path: Path) -> None:
    """The process says one sentence where errors go, and ends with code 1."""
    missing = tmp_path / "token"
    ended = run([*COMMAND, "--listen", "127.0.0.1:0", "--token-file", str(missing)])
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: ")
    assert str(missing) in ended.stderr


def test_starts_that_fail(edge: Edge, tmp_path: Path, restored_logging: None) -> None:
    """What can't be read, written or bound ends the start with one sentence that names it."""
    token, readable = tmp_path / "token", tmp_path / "shown.token"
    write_private(token, "canary\n")
    readable.write_text("canary\n")
    readable.chmod(0o644)
    books, garbage = tmp_path / "console.db", tmp_path / "garbage.db"
    garbage.write_text("no database")
    theirs = next(edge.data_dir.glob("*.db"))
    before = theirs.stat().st_mode, theirs.stat().st_size
    unmigrated = asyncio.run(empty_database())
    usual = ("--token-file", str(token), "--database", str(books))
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        wrong = [
            (("--token-file", str(tmp_path / "none")), "none"),
            (("--token-file", str(readable)), "shown.token"),
            (("--database", str(theirs)), "is the database of another program"),
            (("--database", str(garbage)), "is no SQLite database"),
            (("--database", str(tmp_path / "no" / "folder.db")), "can't be opened"),
            (("--database", unmigrated.reveal()), "run keyauthority-console migrate"),
            (("--listen", taken), f"{taken} is in use"),
            (("--tls-ca", str(tmp_path / "no.pem")), "cannot read"),
            (("--tls-cert", str(garbage), "--tls-key", str(garbage)), "cannot use --tls-cert"),
            (("--setup-link-file", str(tmp_path / "no" / "link")), "cannot write"),
        ]
        sentences = [failure(*usual, *arguments) for arguments, _ in wrong]
    for (arguments, part), sentence in zip(wrong, sentences, strict=True):
        assert part in sentence, (arguments, sentence)
        assert "canary" not in sentence
    assert before == (theirs.stat().st_mode, theirs.stat().st_size)


async def test_a_postgres_database(edge: Edge, tmp_path: Path) -> None:
    """It is refused until `keyauthority-console migrate` prepared it, and works from then on."""
    url = await empty_database()
    with pytest.raises(StorageError, match="migrate"):
        async with open_people(url):
            pass
    migrated = run([*COMMAND, "--database", url.reveal(), "migrate"])
    assert (migrated.returncode, migrated.stdout, migrated.stderr) == (0, "", "")
    console = Console(edge, tmp_path / "console", "--database", url.reveal())
    try:
        assert console.first_owner().get("/account").status == 200
    finally:
        assert console.stop() == 0
    assert await run_sql(url, "SELECT email FROM people") == [(OWNER,)]
    assert not (tmp_path / "console" / "console.db").exists()


def test_recover(own_console: Console, tmp_path: Path) -> None:
    """Prints a link that sets a new password, at the address that browsers know."""
    own_console.first_owner()
    flags = ["--database", str(own_console.database)]
    place = ["--listen", f"127.0.0.1:{own_console.port}"]
    printed = run([*COMMAND, *flags, *place, "recover", OWNER.upper()])
    assert printed.returncode == 0, printed.stderr
    link = printed.stdout.strip()
    assert re.fullmatch(re.escape(own_console.url) + r"/recovery/[\w-]{43}", link)
    path, visitor = link.removeprefix(own_console.url), own_console.visitor()
    done = visitor.submit(visitor.get(path), path, password="a few other words")
    assert done.location == "/sign-in?done=password-set"
    own_console.sign_in(OWNER, "a few other words")


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        (("--public-url", "https://console.example.com/"), "https://console.example.com/recovery/"),
        (("--tls-cert", "c", "--tls-key", "k", "--listen", "[::1]:8443"), "https://[::1]:8443/rec"),
        ((), "http://127.0.0.1:8081/recovery/"),
    ],
    ids=["public URL", "TLS", "default"],
)
def test_the_address_of_a_recovery_link(
    arguments: tuple[str, ...], begin: str, console: Console
) -> None:
    """The link begins as browsers call the console."""
    result = CliRunner().invoke(
        main, ["--database", str(console.database), *arguments, "recover", OWNER]
    )
    assert (result.exit_code, result.output.startswith(begin)) == (0, True), result.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 1, "nobody here has the address nobody@example.com"),
        (("--database", "missing.db"), 1, "there is no database missing.db: give --database"),
        (("--listen", "127.0.0.1:0"), 2, "give --public-url"),
        (("--local-accounts", "off"), 2, "nobody has a password here"),
    ],
    ids=["unknown", "no database", "no port", "no passwords"],
)
def test_nothing_to_recover(
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What can't be done is said in a sentence, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    flags = ["--database", str(console.database), *arguments]
    result = CliRunner().invoke(main, [*flags, "recover", "nobody@example.com"])
    assert list(tmp_path.iterdir()) == []
    assert (result.exit_code, result.output.count("\n")) == (code, 1)
    assert sentence in result.output


def test_settings_from_the_environment(edge: Edge, tmp_path: Path) -> None:
    """Every option can be set as CONSOLE_*; without a file for it the first link is printed."""
    token = tmp_path / "token"
    write_private(token, edge.operator.console_token(f"console {tmp_path.name}") + "\n")
    env = {
        "CONSOLE_LISTEN": "127.0.0.1:0",
        "CONSOLE_AUTHORITY": edge.address,
        "CONSOLE_TOKEN_FILE": str(token),
        "CONSOLE_DATABASE": str(tmp_path / "env.db"),
        "CONSOLE_ACCESS_LOG": "off",
        "CONSOLE_PUBLIC_URL": "https://console.example.com",
    }
    process = Process(tmp_path / "logs", "console", env=env)
    try:
        visitor = Visitor(process.port())
        assert visitor.get("/readyz").status == 200
        output = process.stdout.read_text()
        assert re.search(r"^  https://console\.example\.com/setup/[\w-]{43}$", output, re.MULTILINE)
        assert not any("page" in line for line in process.log())
        assert stat.S_IMODE((tmp_path / "env.db").stat().st_mode) == 0o600
    finally:
        assert process.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order(number: signal.Signals, own_console: Console) -> None:
    """A sign-in that is under way is answered, then it ends with code 0 and whole books."""
    own_console.first_owner()
    visitor = own_console.visitor()
    page = visitor.get("/sign-in")
    typed = {"email": OWNER, "password": PASSWORD}
    with (
        closing(sqlite3.connect(own_console.database)) as books,
        ThreadPoolExecutor(1) as pool,
    ):
        sent = pool.submit(lambda: visitor.submit(page, "/sign-in", **typed))
        counted = "SELECT count(*) FROM attempts"
        eventually("it is under way", lambda: books.execute(counted).fetchone()[0])
        assert own_console.process.stop(number) == 0
        assert sent.result().status == 303
        assert books.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert own_console.process.log()[-1]["event"] == "stopped"


def test_a_start_while_the_authority_is_away(edge: Edge, tmp_path: Path) -> None:
    """It starts, is alive, isn't ready, and becomes so when the authority is there."""
    token = tmp_path / "token"
    write_private(token, edge.operator.console_token(f"away {tmp_path.name}") + "\n")
    flags = ["--listen", "127.0.0.1:0", "--token-file", str(token)]
    flags += ["--database", str(tmp_path / "console.db")]
    with cable() as there:
        there.target = free_port()
        flags += ["--authority", f"127.0.0.1:{there.port}"]
        console = Process(tmp_path / "logs", "console", *flags)
        try:
            visitor = Visitor(console.port())
            assert probe(visitor, "/healthz") == (200, "ok\n")
            assert probe(visitor, "/readyz") == (503, "the key authority doesn't answer\n")
            assert visitor.get("/sign-in").status == 200
            there.target = edge.authority_port
            eventually("it is ready", lambda: probe(visitor, "/readyz") == (200, "ok\n"))
        finally:
            assert console.stop() == 0


def probe(visitor: Visitor, path: str) -> tuple[int, str]:
    shown: Shown = visitor.send("GET", path, None, {"User-Agent": "kube-probe/1.31"})
    assert shown.header("set-cookie") == []
    return shown.status, shown.html
