"""A gateway that knows the authority by a name, which moves to another machine."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from keyauthority.base.process import clocks
from keyauthority.base.process.files import write_private
from tests.certificates import CertificateAuthority
from tests.e2e.operator import Operator
from tests.e2e.processes import Process
from tests.e2e.questions import Questions
from tests.ports import free_port
from tests.postgres import new_database

NAME = "authority.test"
FIRST, SECOND = "127.0.0.2", "127.0.0.3"
FOLLOWED = 2.0
"""Seconds from the end of the old address to the last question without a verdict."""

WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
"""What goes before a file of hosts and a command, to run it where that file is /etc/hosts."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """The file that says where the name leads; skips where nobody can have one of their own."""
    file = tmp_path / "hosts"
    lead(file, FIRST)
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    tried = subprocess.run(
        [*WITH_HOSTS, str(file), "getent", "hosts", NAME], capture_output=True, check=False
    )
    if FIRST.encode() not in tried.stdout:
        pytest.skip("can't give a process an /etc/hosts of its own")
    return file


def lead(file: Path, address: str) -> None:
    file.write_text(f"127.0.0.1 localhost\n{address} {NAME}\n")


class Two:
    """Two authorities over one database, at one port of two addresses, and a gateway."""

    def __init__(self, folder: Path, hosts: Path, database: str, stack: ExitStack) -> None:
        ca = CertificateAuthority(folder, "ca")
        certificate, key = ca.sign(NAME)
        port, data = free_port(), str(folder / "data")
        flags = ["--database", database, "--tls-cert", str(certificate), "--tls-key", str(key)]
        self.authorities: list[Process] = []
        for host in (FIRST, SECOND):
            command = ["--data-dir", data, "serve", "--listen", f"{host}:{port}", *flags]
            self.authorities.append(Process(folder / "logs", "keyauthority", *command, name=host))
            stack.callback(self.authorities[-1].stop)
            self.authorities[-1].port()
        channel = stack.enter_context(
            grpc.secure_channel(
                f"{SECOND}:{port}",
                grpc.ssl_channel_credentials(ca.pem),
                options=[("grpc.ssl_target_name_override", NAME)],
            )
        )
        token = (folder / "data" / "root.token").read_text().strip()
        self.operator = Operator(channel, token)
        write_private(folder / "token", self.operator.verifier_token("gateway") + "\n")
        command = ["--listen", "127.0.0.1:0", "--authority", f"{NAME}:{port}", "--cache", "off"]
        command += ["--tls-ca", str(ca.path), "--token-file", str(folder / "token")]
        command += ["--upstream", "http://127.0.0.1:9", "--grace", "1"]
        gateway = Process(folder / "logs", "gateway", *command, prefix=(*WITH_HOSTS, str(hosts)))
        stack.callback(gateway.stop)
        self.gateway_port = gateway.port()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_name_that_moves_is_followed(
    tmp_path: Path, hosts: Path, stack: ExitStack, end: signal.Signals
) -> None:
    """When its old address answers no more, without or with a word, the new one is asked."""
    database = (await new_database()).reveal()
    two = await asyncio.to_thread(Two, tmp_path, hosts, database, stack)
    _, secret = two.operator.issue(two.operator.workspace())
    questions = await Questions.to(two.gateway_port)

    async def good() -> bool:
        return await questions.ask(secret) == 200

    assert await good()
    lead(hosts, SECOND)
    two.authorities[0].send(end)
    ended = failed = clocks.boottime()
    while clocks.boottime() < ended + 3 * FOLLOWED:
        asked = clocks.boottime()
        if not await good():
            failed = asked
        await asyncio.sleep(0.05)
    questions.abort()

    assert failed - ended < FOLLOWED
