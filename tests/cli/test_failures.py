"""What goes wrong on the way to the authority, each in a sentence that says what to do."""

from __future__ import annotations

import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.certificates import CertificateAuthority
from tests.cli.parts import PATIENCE, Cli, serving
from tests.ports import free_port


def test_no_authority_at_the_address(cli: Cli) -> None:
    """The sentence names the address, the command that starts one and the setting."""
    address = f"127.0.0.1:{free_port()}"

    assert cli.refusal("--address", address, "keys", "list") == (
        f"connection refused at {address}: no authority listens there; start it with "
        "`keyauthority serve`, or point --address (KEYAUTHORITY_ADDRESS) at it"
    )


def test_an_authority_that_does_not_answer_in_time(cli: Cli) -> None:
    """The sentence admits that nobody knows whether a change was made."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        refusal = cli.refusal("--timeout", "1s", "--address", address, "keys", "list")

    assert refusal == (
        f"no answer from {address} within 1 s, so a change may or may not have been made: "
        "look before repeating it, or wait longer with --timeout"
    )


def test_another_grpc_server_at_the_address(cli: Cli) -> None:
    """What answers and is no key authority is told apart from silence."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        refusal = cli.refusal("--address", f"127.0.0.1:{port}", "keys", "list")
    finally:
        server.stop(None).wait()

    assert refusal == (
        f"what answers at 127.0.0.1:{port} is no key authority of this version (UNIMPLEMENTED)"
    )


def test_one_of_several_authorities_is_enough(cli: Cli) -> None:
    """Whoever does not answer is passed over, by what reads and by what changes."""
    dead = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        several = f"{dead},127.0.0.1:{mute.getsockname()[1]},{cli.address}"
        for _ in range(3):
            cli.text("--address", several, "workspaces", "create", "one of several")
            assert "one of several" in cli.text("--address", several, "workspaces", "list")


@pytest.mark.parametrize(
    "address",
    ["nowhere", "127.0.0.1:", "::1:50051", "host:99999", "unix:", "127.0.0.1:1,", "unix:/a,b"],
)
def test_an_address_that_is_none_is_a_usage_error(cli: Cli, address: str) -> None:
    """The sentence names the option and how it is written."""
    refusal = cli.refusal("--address", address, "keys", "list", exit_code=2)

    assert refusal.startswith("--address ")


def test_a_token_travels_in_plaintext_to_this_machine_only(cli: Cli) -> None:
    """Another machine is not even connected to without TLS."""
    refusal = cli.refusal("--address", "192.0.2.1:50051", "keys", "list")

    assert refusal.startswith("192.0.2.1:50051 is another machine, and tokens don't travel in")
    assert "--tls-ca (KEYAUTHORITY_TLS_CA)" in refusal


def test_a_missing_token_file_is_explained(cli: Cli, tmp_path: Path) -> None:
    """The sentence says where it was looked for, who writes it and which option moves it."""
    refusal = cli.refusal("--data-dir", str(tmp_path), "keys", "list")

    assert refusal.startswith(f"there is no token at {tmp_path}/root.token: the authority writes")
    assert "--token-file (KEYAUTHORITY_TOKEN_FILE)" in refusal


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"optk-svc-open", 0o644, "is open to every user of this machine: chmod 600 it"),
        (b"optk-svc-two words", 0o600, "does not hold one secret in plain ASCII"),
        ("optk-svc-한글".encode(), 0o600, "does not hold one secret in plain ASCII"),
        (b"\xff\x00", 0o600, "does not hold one secret in plain ASCII"),
        (b"", 0o600, "does not hold one secret in plain ASCII"),
    ],
)
def test_a_token_file_that_holds_no_token(
    cli: Cli, tmp_path: Path, content: bytes, mode: int, sentence: str
) -> None:
    """What is wrong is said; what is in the file is not."""
    file = tmp_path / "service.token"
    file.write_bytes(content)
    file.chmod(mode)

    refusal = cli.refusal("--token-file", str(file), "keys", "list")

    assert refusal == f"{file} {sentence}"


def test_a_token_of_nobody_is_refused(cli: Cli, tmp_path: Path) -> None:
    """The sentence says which file the token came from, and doesn't say the token."""
    file = tmp_path / "service.token"
    file.write_text("optk-svc-nobody")
    file.chmod(0o600)

    refusal = cli.refusal("--token-file", str(file), "keys", "list")

    assert refusal == (
        f"the credential is not accepted; the token is that of {file}: point --token-file "
        "(KEYAUTHORITY_TOKEN_FILE) at a good one"
    )


def test_tls_needs_the_right_certificate_authority(tmp_path: Path) -> None:
    """With the right one it works; with another, and in plaintext, the sentence says what to check."""
    ca, other = (CertificateAuthority(tmp_path, name) for name in ("ca", "other"))
    cert, key = ca.sign("localhost")

    with serving(tmp_path / "data", "--tls-cert", str(cert), "--tls-key", str(key)) as cli:
        good = cli("--tls-ca", str(ca.path), "workspaces", "list")
        wrong = cli.refusal("--tls-ca", str(other.path), "workspaces", "list")
        plain = cli.refusal("workspaces", "list")
        nowhere = cli.refusal("--tls-ca", "/no/ca.pem", "workspaces", "list")

    assert good.exit_code == 0, good.output
    assert wrong == (
        f"no authority could be reached at {cli.address} whose certificate is for that name and "
        f"comes from {other.path}: check that it runs there, with TLS"
    )
    assert plain.startswith(f"no authority answers at {cli.address}")
    assert plain.endswith("; if it speaks TLS, also give --tls-ca (KEYAUTHORITY_TLS_CA)")
    assert nowhere == "cannot read /no/ca.pem: No such file or directory"


def test_a_client_certificate_can_stand_for_the_caller(tmp_path: Path) -> None:
    """Where the authority asks for certificates, one is shown; one bound to a caller needs no token."""
    ca = CertificateAuthority(tmp_path, "ca")
    cert, key = ca.sign("localhost")
    mine, my_key = ca.sign("operator.internal")
    tls = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(ca.path))
    certificate = ("--tls-client-cert", str(mine), "--tls-client-key", str(my_key))

    with serving(tmp_path / "data", *tls) as cli:
        trusting = ("--tls-ca", str(ca.path))
        create = ("callers", "create", "op", "--role", "admin", "--certificate-name")
        without = cli(*trusting, "workspaces", "list")
        created = cli(*trusting, *certificate, *create, "operator.internal")
        no_token = ("--token-file", str(tmp_path / "none"))
        by_certificate = cli(*trusting, *certificate, *no_token, "workspaces", "list")

    assert without.exit_code == 1
    assert created.exit_code == 0, created.output
    assert by_certificate.exit_code == 0, by_certificate.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--tls-client-cert", "c"), "--tls-client-cert needs --tls-ca"),
        (
            ("--tls-ca", "ca", "--tls-client-cert", "c"),
            "--tls-client-cert and --tls-client-key need one another",
        ),
    ],
)
def test_half_a_client_certificate_is_a_usage_error(
    cli: Cli, options: tuple[str, ...], sentence: str
) -> None:
    """What can't work is said before anything is connected."""
    assert cli.refusal(*options, "keys", "list", exit_code=2) == sentence


def test_ctrl_c_ends_a_waiting_command_quietly(cli: Cli) -> None:
    """Somebody who gives up reads no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        process = cli.start("--address", address, "keys", "list")
        connection, _ = mute.accept()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        connection.close()

    assert (process.returncode, stdout, stderr.strip()) == (1, "", "Aborted!")


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    """`keyauthority audit export | head` prints no traceback."""
    cli.workspace()
    process = cli.start("audit", "export")
    assert process.stdout is not None
    process.stdout.close()

    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(PATIENCE) == 1
    process.stderr.close()


def test_settings_come_from_the_environment_too(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option before the command has its variable, and the option wins."""
    here = Cli(f"127.0.0.1:{free_port()}", tmp_path)
    monkeypatch.setenv("KEYAUTHORITY_TOKEN_FILE", str(cli.data_dir / "root.token"))

    assert cli.address not in here.refusal("keys", "list")
    assert here("--address", cli.address, "keys", "list").exit_code == 0
    assert stat.S_IMODE((cli.data_dir / "root.token").stat().st_mode) == 0o600
