"""A whole installation over a network that can be cut: authorities, gateways, and who uses them."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.certificates import CertificateAuthority
from tests.e2e.new_books import set_lease
from tests.e2e.processes import Process, run
from tests.faults.database import PORT, Database, database
from tests.faults.history import History, last_hits, read
from tests.faults.network import Host, Network, network

LEASE = 0.5
"""Seconds: short, so that a fault outlives it soon."""

REPLICAS, GATEWAYS = 3, 2

AUTHORITY_PORT, GATEWAY_PORT, UPSTREAM_PORT, METRICS_PORT = 50051, 8080, 9090, 9100
LAUNCHING = "tests.faults.launching"
PATIENCE = 30.0


class Node:
    """One process of the product on a host of its own, to be frozen, killed and started again."""

    def __init__(self, name: str, host: Host, start: Callable[[], Process]) -> None:
        self.name = name
        self.host = host
        self._start = start
        self.process = start()

    def freeze(self) -> None:
        self.process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send(signal.SIGCONT)

    def kill(self) -> None:
        self.process.send(signal.SIGKILL)

    async def restart(self) -> None:
        self.process = self._start()
        await self.ready()

    async def ready(self) -> None:
        """Returns when it says that it listens."""
        await asyncio.to_thread(self.process.port)

    def stop(self) -> None:
        self.process.stop(signal.SIGKILL)


class Installation:
    """The processes, what they are called and what they wrote down. Made by `installation`."""

    def __init__(
        self, folder: Path, net: Network, stack: AsyncExitStack, seeded: str, lease: float
    ) -> None:
        self.lease = lease
        self.folder = folder
        self.logs, self.records = folder / "logs", folder / "records"
        self.records.mkdir()
        self.news = folder / "news"
        self.news.touch(0o600)
        self._stack = stack
        self._env = {"SEEDED": seeded, "PYTHONUNBUFFERED": "1"}
        self._ca = CertificateAuthority(folder, "ca")
        self._operators = net.host("operators")
        self.database: Database | None = None
        self.standby: Database | None = None
        self.authorities: list[Node] = []
        self.gateways: list[Node] = []

    # --- the product

    def add_authority(self, host: Host, *flags: str, data_dir: Path) -> None:
        name = f"authority-{len(self.authorities) + 1}"
        certificate, key = self._ca.sign(name, "authority")
        usual = ["--listen", f"0.0.0.0:{AUTHORITY_PORT}", "--log-level", "debug"]
        usual += ["--tls-cert", str(certificate), "--tls-key", str(key)]
        command = ["keyauthority", "--data-dir", str(data_dir), "serve", *usual, *flags]
        self.authorities.append(self._node(name, host, command))

    def add_gateway(self, host: Host) -> None:
        """A gateway that knows all authorities that are there, by one name."""
        host.knows({"authority": [node.host for node in self.authorities]})
        command = ["gateway", "--listen", f"127.0.0.1:{GATEWAY_PORT}", "--max-refusals", "0"]
        command += ["--authority", f"authority:{AUTHORITY_PORT}", "--tls-ca", str(self._ca.path)]
        command += ["--token-file", str(self.root_token), "--access-log", "off"]
        command += ["--upstream", f"http://127.0.0.1:{UPSTREAM_PORT}", "--log-level", "debug"]
        command += ["--metrics-listen", f"127.0.0.1:{METRICS_PORT}", "--grace", "1"]
        self.gateways.append(self._node(f"gateway-{len(self.gateways) + 1}", host, command))

    def _node(self, name: str, host: Host, command: list[str]) -> Node:
        def start() -> Process:
            return Process(
                self.logs, LAUNCHING, *command, env=self._env, name=name, prefix=host.prefix
            )

        node = Node(name, host, start)
        self._stack.callback(node.stop)
        return node

    @property
    def root_token(self) -> Path:
        return self.folder / "data" / "root.token"

    # --- who uses it

    async def begin(self, seed: int) -> None:
        """Starts the clients of each gateway and who changes things."""
        self._operators.knows({node.name: [node.host] for node in self.authorities})
        addresses = ",".join(f"{node.name}:{AUTHORITY_PORT}" for node in self.authorities)
        for node in self.authorities + self.gateways:
            await node.ready()
        self._operating = await self._helper(
            "operating", self._operators, addresses, self._ca.path, self.root_token, seed, self.news
        )
        self._asking = [
            await self._helper(
                "asking", node.host, node.name, GATEWAY_PORT, METRICS_PORT, UPSTREAM_PORT, self.news
            )
            for node in self.gateways
        ]

    async def warm(self, hits: int = 20) -> None:
        """Returns when each gateway has answered as many questions from its memory since its start."""
        sizes = {path: path.stat().st_size for path in self.records.glob("asking-*")}
        async with asyncio.timeout(PATIENCE):
            for path, size in sizes.items():
                while last_hits(path, size) < hits:  # noqa: ASYNC110  # a file can't wake us
                    await asyncio.sleep(0.02)

    async def command(self, do: str, **more: object) -> dict[str, Any]:
        """Has it done by who changes things."""
        stdin, stdout = self._operating.stdin, self._operating.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            answer = await stdout.readline()
        assert answer, (self.logs / "operating.log").read_text()
        told: dict[str, Any] = json.loads(answer)
        return told

    def burst(self, secret: int) -> None:
        """Has every gateway asked about *secret*, on many new connections."""
        with self.news.open("a") as news:
            news.write(json.dumps({"burst": True, "secret": secret}) + "\n")

    async def end(self) -> History:
        """Ends those who use it; what all of them saw."""
        assert self._operating.stdin is not None
        self._operating.stdin.close()
        for helper in self._asking:
            helper.terminate()
        for helper in (self._operating, *self._asking):
            async with asyncio.timeout(PATIENCE):
                assert await helper.wait() == 0, self._complaints()
        return read(self.records.iterdir())

    async def _helper(
        self, name: str, host: Host, *arguments: object
    ) -> asyncio.subprocess.Process:
        log_name = f"{name}-{len(list(self.records.iterdir()))}"
        with (self.logs / f"{log_name}.log").open("w") as log:
            helper = await asyncio.create_subprocess_exec(
                *host.prefix,
                *(sys.executable, "-m", f"tests.faults.{name}"),
                *map(str, arguments),
                str(self.records / log_name),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        (self.records / log_name).touch()
        self._stack.push_async_callback(_end, helper)
        return helper

    def _complaints(self) -> str:
        return "\n".join(log.read_text() for log in self.logs.glob("*.log"))


@asynccontextmanager
async def sqlite_installation(
    folder: Path, seeded: str = "", lease: float = LEASE
) -> AsyncIterator[Installation]:
    """One authority with a SQLite file, and two gateways."""
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network())
        made = Installation(folder, net, stack, seeded, lease)
        data = folder / "data"
        data.mkdir(mode=0o700)
        await set_lease(data / "keyauthority.db", lease)
        made.add_authority(net.host("authority-1"), data_dir=data)
        await made.authorities[0].ready()
        for number in range(GATEWAYS):
            made.add_gateway(net.host(f"gateway-{number + 1}"))
        yield made


@asynccontextmanager
async def postgres_installation(
    folder: Path, seeded: str = "", lease: float = LEASE
) -> AsyncIterator[Installation]:
    """Three authorities with one PostgreSQL database and the same keyring, and two gateways."""
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network())
        made = Installation(folder, net, stack, seeded, lease)
        made.database = stack.enter_context(database(net.host("database")))
        await _begin_books(made)
        await _add_replicas(made, net, [made.database.url] * REPLICAS)
        yield made


@asynccontextmanager
async def failing_over_installation(
    folder: Path, seeded: str = "", lease: float = LEASE
) -> AsyncIterator[Installation]:
    """The same with a standby that copies in time. One authority knows of the first server only."""
    async with AsyncExitStack() as stack:
        net = stack.enter_context(network())
        made = Installation(folder, net, stack, seeded, lease)
        first = made.database = stack.enter_context(database(net.host("database")))
        await _begin_books(made)
        made.standby = stack.enter_context(database(net.host("standby"), first))
        await asyncio.to_thread(first.copy_in_time)
        here, there = first.host.address, made.standby.host.address
        both = first.url.replace(f"@{here}:", f"@{here}:{PORT},{there}:")
        await _add_replicas(made, net, [both, both, first.url])
        yield made


async def _begin_books(made: Installation) -> None:
    assert made.database is not None
    program = [sys.executable, "-m", "tests.e2e.new_books", made.database.url, str(made.lease)]
    done = run([*made.database.host.prefix, *program])
    assert done.returncode == 0, done.stderr


async def _add_replicas(made: Installation, net: Network, urls: list[str]) -> None:
    folder = made.folder
    for number, url in enumerate(urls):
        data = folder / f"data{number or ''}"
        flags = ["--database", url, "--keyring", str(data / "keyring.json")]
        if number:
            data.mkdir(mode=0o700)
            shutil.copy(folder / "data" / "keyring.json", data)
        made.add_authority(net.host(f"authority-{number + 1}"), *flags, data_dir=data)
        if not number:
            await made.authorities[0].ready()
    for number in range(GATEWAYS):
        made.add_gateway(net.host(f"gateway-{number + 1}"))


async def _end(helper: asyncio.subprocess.Process) -> None:
    if helper.returncode is None:
        helper.kill()
        await helper.wait()
