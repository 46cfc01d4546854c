"""A whole installation on loopback: authority, gateway and demo upstream, each its own process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from keyauthority.base.process.files import write_private
from tests.e2e.new_books import new_books
from tests.e2e.operator import Operator, operating
from tests.e2e.processes import Process, eventually, is_listening
from tests.ports import free_port

UPSTREAM_KEY = "upstream-credential-0123456789abcdef"


class Edge:
    """The three processes and what is known of them. Made by `edge_running`."""

    def __init__(self, folder: Path, stack: ExitStack, *gateway_flags: str) -> None:
        self.folder = folder
        self.data_dir, self.logs = folder / "data", folder / "logs"
        self.authority_port = free_port()
        self.metrics_port, self.gateway_metrics_port = free_port(), free_port()
        self._gateways = 0
        self._stack = stack
        self.authority = self.start_authority()
        self.upstream = self._start_upstream()
        self.authority.port()
        self.address = f"127.0.0.1:{self.authority_port}"
        token = (self.data_dir / "root.token").read_text().strip()
        self.operator: Operator = stack.enter_context(operating(self.address, token))
        self.verifier_token = self.operator.verifier_token("gateway")
        self.gateway = self.start_gateway(*gateway_flags)
        self.port = self.gateway.port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start_authority(self) -> Process:
        """Starts it where it always is."""
        flags = ["--listen", f"127.0.0.1:{self.authority_port}", "--log-level", "debug"]
        flags += ["--metrics-listen", f"127.0.0.1:{self.metrics_port}"]
        return self._start("keyauthority", "--data-dir", str(self.data_dir), "serve", *flags)

    def recover_authority(self) -> None:
        """Starts it again where it was, or lets it go on if it was only frozen."""
        if self.authority.is_running():
            self.authority.send(signal.SIGCONT)
        else:
            self.authority = self.start_authority()

    def _start_upstream(self) -> Process:
        port = free_port()
        self.upstream_url = f"http://127.0.0.1:{port}"
        key = self._secret_file("upstream.key", UPSTREAM_KEY)
        process = self._start("demo.upstream", f"127.0.0.1:{port}", str(key))
        eventually("the upstream listens", lambda: is_listening(port))
        return process

    def start_gateway(self, *flags: str) -> Process:
        """Starts one more; what *flags* say wins over the usual."""
        self._gateways += 1
        token = self._secret_file("gateway.token", self.verifier_token)
        usual = ["--listen", "127.0.0.1:0", "--authority", self.address]
        usual += ["--token-file", str(token), "--upstream", self.upstream_url]
        usual += ["--upstream-key-file", str(self.folder / "upstream.key")]
        if self._gateways == 1:
            usual += ["--metrics-listen", f"127.0.0.1:{self.gateway_metrics_port}"]
        usual += ["--log-level", "debug", "--grace", "1"]
        name = "gateway" if self._gateways == 1 else f"gateway-{self._gateways}"
        return self._start("gateway", *usual, *flags, name=name)

    def outcomes(self, outcome: str) -> int:
        """How many requests of the first gateway ended so."""
        return self._metric(f'gateway_requests_total{{outcome="{outcome}"}}')

    def holds(self) -> int:
        """For how many requests it holds credits."""
        return self._metric("gateway_holds")

    def _metric(self, name: str) -> int:
        url = f"http://127.0.0.1:{self.gateway_metrics_port}/metrics"
        with build_opener(ProxyHandler({})).open(url) as page:
            text = page.read().decode()
        [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return int(float(line.rpartition(" ")[2]))

    def _secret_file(self, name: str, secret: str) -> Path:
        path = self.folder / name
        write_private(path, secret + "\n")
        return path

    def _start(self, module: str, *arguments: str, name: str = "") -> Process:
        process = Process(self.logs, module, *arguments, name=name)
        self.stop_at_end(process)
        return process

    def stop_at_end(self, process: Process) -> None:
        """Has *process* stop with the installation."""
        self._stack.callback(process.stop)


@contextmanager
def edge_running(folder: Path, *gateway_flags: str) -> Iterator[Edge]:
    """An installation with its files in *folder*; what *gateway_flags* say wins over the usual."""
    with ExitStack() as stack:
        yield Edge(folder, stack, *gateway_flags)


@contextmanager
def edge_with(folder: Path, lease: float) -> Iterator[Edge]:
    """An installation whose leases last *lease* seconds."""
    (folder / "data").mkdir(mode=0o700)
    new_books(folder / "data" / "keyauthority.db", lease)
    with edge_running(folder) as edge:
        yield edge
