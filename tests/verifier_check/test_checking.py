"""The check over real sockets, and with real programs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keyauthority.cli.root import root
from keyauthority.client import Secret, VerificationUnavailable, Verifier
from keyauthority.verifier_check import vectors
from keyauthority.verifier_check.authority import ScriptedAuthority, serving
from keyauthority.verifier_check.checking import NOT_CHECKED, broken, check, check_rule
from keyauthority.verifier_check.driving import Driver
from keyauthority.verifier_check.news import News
from keyauthority.verifier_check.steps import Vector
from tests.e2e.processes import eventually

VECTORS = {vector.rule: vector for vector in vectors.load()}
PROGRAM = (sys.executable, "-m", "tests.verifier_check.program")
TOKEN = "optk-svc-" + "t" * 30


class Here:
    """A program in this process: its verifier alone is that of a real one."""

    fault = ""

    def __init__(self, verifier: Verifier, news: News) -> None:
        self.answers: dict[int, str] = {}
        self.ended = False
        self._verifier = verifier
        self._news = news
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: list[tuple[int, str]] | None = None

    def ask(self, question: int, secret: str) -> None:
        if self._frozen is None:
            self._tasks.add(asyncio.create_task(self._answer(question, secret)))
        else:
            self._frozen.append((question, secret))

    def close(self) -> None:
        self._tasks.add(asyncio.create_task(self._end()))

    def freeze(self) -> None:
        self._frozen = []

    def thaw(self) -> None:
        waiting, self._frozen = self._frozen or [], None
        for question in waiting:
            self.ask(*question)

    async def _answer(self, question: int, secret: str) -> None:
        try:
            self.answers[question] = (await self._verifier.verify(secret)).verdict.name
        except VerificationUnavailable:
            self.answers[question] = "UNAVAILABLE"
        self._news.tell()

    async def _end(self) -> None:
        await self._verifier.__aexit__()
        self.ended = True
        self._news.tell()


async def checked_here(vector: Vector) -> str:
    news = News()
    authority = ScriptedAuthority(TOKEN, news)
    async with (
        serving(authority) as address,
        Verifier(address, token=Secret(TOKEN), timeout=10.0) as verifier,
    ):
        return await broken(Driver(authority, Here(verifier, news), news), vector.steps)


async def test_the_shipped_verifier_keeps_the_rules_over_a_socket() -> None:
    """What it does in the simulation it does with real calls in real time."""
    results = await asyncio.gather(*map(checked_here, VECTORS.values()))
    # Once more and alone, as the check itself does it: the machine may have been busy.
    doubtful = [vector for vector, seen in zip(VECTORS.values(), results, strict=True) if seen]
    assert [await checked_here(vector) for vector in doubtful] == [""] * len(doubtful), results


def verifier_check(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def rules(*names: str) -> Sequence[str]:
    return [argument for name in names for argument in ("--rule", name)]


def test_a_program_is_checked_rule_by_rule() -> None:
    """A real process: stopped, thawed, and ended as it should."""
    names = ["a-lease-ends-while-the-process-is-stopped", "leaves-when-it-ends"]
    result = verifier_check("--json", "verifier-check", *rules(*names), "--", *PROGRAM)
    assert result.exit_code == 0, result.output
    outcomes = json.loads(result.stdout)["rules"]
    assert [(outcome["rule"], outcome["kept"], outcome["broken"]) for outcome in outcomes] == [
        (name, True, "") for name in names
    ]


def test_a_broken_rule_is_named() -> None:
    """With what was seen, and exit status 1; the others are checked all the same."""
    names = ["answers-from-the-cache", "what-changed-is-dropped-and-acknowledged"]
    result = verifier_check("verifier-check", *rules(*names), "--", *PROGRAM, "remembers")
    assert result.exit_code == 1, result.output
    results = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert results[names[0]].startswith("kept")
    assert results[names[1]] == "BROKEN: answers VALID to question 3 without asking (step 15)"
    assert "1 rule kept, 1 broken." in result.stderr


def test_a_command_that_is_not_there_is_a_wrong_use() -> None:
    """And nothing is checked."""
    result = verifier_check("verifier-check", "--", "/no/such/program")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no program /no/such/program" in result.stderr


@pytest.mark.parametrize(
    ("does", "fault"),
    [
        ("raise SystemExit(3)", "ends with exit status 3 (step 1)"),
        ("print('hello')", 'writes a line that is not {"id": …, "verdict": …} (step 1)'),
        (
            """print('{"id": 1, "verdict": "VALID"}\\n{"id": 1, "verdict": "REVOKED"}')""",
            "answers question 1 twice (step 1)",
        ),
        ("print('x' * 10_000)", "writes a line of more than 4096 bytes (step 1)"),
    ],
)
async def test_a_program_that_is_none_says_so(does: str, fault: str) -> None:
    """At once, not after the patience for a slow one."""
    outcome = await check_rule((sys.executable, "-c", does), VECTORS["no-lease-no-cache"])
    assert outcome.broken == fault


@pytest.mark.parametrize(
    ("rule", "refused", "broken"),
    [
        ("leaves-when-it-ends", signal.SIGKILL, ""),
        (
            "each-secret-has-its-own-verdict",
            signal.SIGSTOP,
            "can't be sent SIGSTOP: it is another user's (step 9)",
        ),
    ],
)
async def test_a_program_of_another_user_does_not_hide_the_result(
    monkeypatch: pytest.MonkeyPatch, rule: str, refused: signal.Signals, broken: str
) -> None:
    """A rule that stops the program can't be checked then, and says so."""
    killpg = os.killpg

    def kill(group: int, number: signal.Signals) -> None:
        if number is refused:
            raise PermissionError
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", kill)
    outcome = await check_rule(PROGRAM, VECTORS[rule])
    assert outcome.broken == broken


async def test_a_program_that_does_not_join_is_not_waited_for_again_and_again() -> None:
    """The other rules are not checked, and count as broken."""
    command = (sys.executable, "-c", "raise SystemExit(3)")
    first, *others = await check(command, list(VECTORS.values()))
    assert first.broken == "ends with exit status 3 (step 1)"
    assert {other.broken for other in others} == {NOT_CHECKED}
    assert len(others) == len(VECTORS) - 1


async def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    """As the system names it."""
    (tmp_path / "program").write_text("not a program")
    (tmp_path / "program").chmod(0o700)
    [outcome] = await check([str(tmp_path / "program")], [VECTORS["no-lease-no-cache"]])
    assert outcome.broken.endswith("cannot be started: Exec format error (step 1)")


async def test_nothing_that_a_program_started_is_left(tmp_path: Path) -> None:
    """Neither itself nor its children, even if it was broken off."""
    pids = tmp_path / "pids"
    script = (
        "import os, subprocess, sys; "
        "child = subprocess.Popen(['sleep', '300']); "
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); "
        "print('no answer', flush=True); sys.stdin.read()"
    )
    await check_rule((sys.executable, "-c", script), VECTORS["no-lease-no-cache"])
    for pid in pids.read_text().split():
        assert not Path(f"/proc/{pid}").exists() or _is_zombie(pid)


def test_a_check_that_is_ended_ends_its_programs(tmp_path: Path) -> None:
    """By a signal, too, and even one that was stopped."""
    pid_file = tmp_path / "pid"
    script = (
        "import os, signal, sys; "
        f"open({str(pid_file)!r}, 'w').write(f'{{os.getpid()}}\\n'); "
        "os.kill(os.getpid(), signal.SIGSTOP); sys.stdin.read()"
    )
    main = [sys.executable, "-c", "from keyauthority.cli import main; main()", "verifier-check"]
    with subprocess.Popen(
        [*main, *rules("no-lease-no-cache"), "--", sys.executable, "-c", script],
        stderr=subprocess.DEVNULL,
    ) as check:
        eventually("it started", lambda: pid_file.exists() and "\n" in pid_file.read_text())
        check.send_signal(signal.SIGTERM)
        assert check.wait(20) == 1
    pid = pid_file.read_text().strip()
    eventually("it has ended", lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def _is_zombie(pid: str) -> bool:
    # Whoever inherits a child that lost its parent reaps it when it likes.
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()
