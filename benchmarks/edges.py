"""The gateway and the bare servers that ours are compared with, as running processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError, Process, running, serving, wait_until
from tests.ports import free_port


def bare_handler(
    headers: Mapping[str, str], logs: Path, *, access_log: str
) -> AbstractContextManager[Process]:
    """Runs a bare aiohttp handler that always answers 200 with *headers* and no body."""
    return serving("bare_http", access_log, "answer", json.dumps(dict(headers)), logs=logs)


def bare_proxy(
    upstream: Process, logs: Path, *, access_log: str
) -> AbstractContextManager[Process]:
    """Runs a bare aiohttp reverse proxy in front of *upstream*; *access_log* is `on` or `off`."""
    return serving("bare_http", access_log, "forward", f"http://{upstream.address}", logs=logs)


@contextmanager
def gateway(
    authority: Authority,
    upstream: Process,
    logs: Path,
    *,
    access_log: str,
    cache: str = "on",
    spool: Path | None = None,
    address: str = "",
    metrics_port: int = 0,
) -> Iterator[Process]:
    """Runs a gateway, with metrics, between *authority* and *upstream*; it is ready by then.

    *access_log* and *cache* are `on` or `off`. With a *spool* it bills. It reaches the authority at
    *address*, if that is another than the authority's own.
    """
    port = free_port()
    options = {
        "--listen": f"127.0.0.1:{port}",
        "--authority": address or authority.address,
        "--token-file": str(authority.token_file),
        "--upstream": f"http://{upstream.address}",
        "--metrics-listen": f"127.0.0.1:{metrics_port or free_port()}",
        "--access-log": access_log,
        "--cache": cache,
        # The keys have scopes, and nobody says at `/authz` what they are used for.
        "--scope-rules": "off",
        **({"--billing": "enforce", "--spool": str(spool)} if spool else {}),
    }
    arguments = (part for option in options.items() for part in option)
    with running("gateway", port, "gateway", *arguments, logs=logs) as process:
        wait_until(process, lambda: _lacks_verdicts(process))
        yield process


def _lacks_verdicts(server: Process) -> str:
    try:
        request(server, "/readyz", {})
    except BenchmarkError as error:
        return str(error)
    return ""


def request(
    server: Process, path: str, headers: Mapping[str, str], body: str | None = None
) -> tuple[dict[str, str], bytes]:
    """Returns header fields and body of an answer, which must be a 200: raises `BenchmarkError`."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchmarkError(f"{server.name} answers {path} with {answer.status}")
    return {name.lower(): value for name, value in answer.getheaders()}, content
