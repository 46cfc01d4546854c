"""Asking for a verdict from the command line."""

from __future__ import annotations

import os
import pty
import subprocess
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from keyauthority.v1 import verification_service_pb2 as v1
from keyauthority.v1.verification_service_pb2_grpc import (
    VerificationServiceServicer,
    add_VerificationServiceServicer_to_server,
)
from tests.cli.parts import PATIENCE, Cli


def test_verify_says_who_a_good_secret_acts_for(cli: Cli) -> None:
    """A secret that may act ends with 0 and shows its key and workspace, never the secret."""
    workspace = cli.workspace()
    key_id, secret = cli.issue("--workspace", workspace, "--scope", "chat", "--label", "a=1")

    text, document = cli.text("verify", stdin=secret), cli.json("verify", stdin=secret)

    assert document["verdict"] == "VERDICT_VALID"
    assert document["key"]["id"] == key_id
    for shown in ("valid", key_id, workspace, "chat", "a=1"):
        assert shown in text
    assert secret not in text + str(document)


def test_verify_of_a_refused_secret_is_an_answer_and_ends_with_1(cli: Cli) -> None:
    """The verdict is the answer, on standard output, and scripts can tell by the exit code."""
    said = cli("verify", stdin="not a secret")

    assert (said.exit_code, said.stdout, said.stderr) == (1, "verdict:  malformed\n", "")
    assert cli.json("verify", stdin="x", exit_code=1)["verdict"] == "VERDICT_MALFORMED"


class OfANewerVersion(VerificationServiceServicer):
    """Answers with a verdict that this version does not know."""

    def Verify(self, request: v1.VerifyRequest, context: object) -> v1.VerifyResponse:
        return v1.VerifyResponse(verdict=99)  # type: ignore[arg-type]


def test_a_verdict_of_a_newer_version_is_said(cli: Cli) -> None:
    """It is no answer to act by: one sentence tells what to do, and the command has failed."""
    server = grpc.server(ThreadPoolExecutor(1))
    add_VerificationServiceServicer_to_server(OfANewerVersion(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        refusal = cli.refusal("--address", f"127.0.0.1:{port}", "verify", stdin="a secret")
    finally:
        server.stop(None).wait()

    assert refusal == (
        "the authority answered what this version does not know (unknown verdict 99): update "
        "keyauthority on this machine"
    )


def test_verify_ignores_white_space_around_the_secret(cli: Cli) -> None:
    """What `cat` and `echo` add is no part of the secret."""
    _, secret = cli.issue()

    assert cli("verify", stdin=f"  {secret}\r\n\n").exit_code == 0


def test_nothing_on_standard_input_is_said(cli: Cli) -> None:
    """An empty pipe is not a secret, and the sentence says what to do."""
    assert cli.refusal("verify", stdin=" \n").startswith("no secret on standard input: pipe one in")


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_bytes_that_are_no_text_are_said(cli: Cli, locale: str) -> None:
    """Noise on standard input is one sentence, and isn't repeated."""
    environment = {**os.environ, "LC_ALL": locale}
    process = cli.start("verify", stdin=subprocess.PIPE, encoding="latin-1", env=environment)

    stdout, stderr = process.communicate("\xff\xfe\x00noise", timeout=PATIENCE)

    assert (process.returncode, stdout) == (1, "")
    assert stderr == "Error: standard input is not text\n"


def test_at_a_terminal_the_secret_is_asked_for_and_not_shown(cli: Cli) -> None:
    """A person is prompted on standard error, and what is typed stays invisible."""
    _, secret = cli.issue()
    try:
        terminal, end = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminal can be made here ({error}): mount devpts at /dev/pts")
    process = cli.start("verify", stdin=end, stderr=end, start_new_session=True)
    os.close(end)

    prompt = os.read(terminal, 100)
    os.write(terminal, f"{secret}\n".encode())
    stdout, _ = process.communicate(timeout=PATIENCE)
    echoed = os.read(terminal, 1000)
    os.close(terminal)

    assert prompt == b"Secret: "
    assert process.returncode == 0
    assert "valid" in stdout
    assert secret.encode() not in echoed
