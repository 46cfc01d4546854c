"""A gateway that is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks import paths
from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError, Process, running
from tests.ports import free_port


@contextmanager
def gateway(
    authority: Authority, upstream: Process, logs: Path, *, access_log: str, cache: str = "on"
) -> Iterator[Process]:
    """A gateway with metrics between *authority* and *upstream*.

    *access_log* and *cache* are `on` or `off`.
    """
    port = free_port()
    settings = {
        "--listen": f"127.0.0.1:{port}",
        "--authority": authority.address,
        "--token-file": str(paths.root_token(authority.data_dir)),
        "--upstream": f"http://127.0.0.1:{upstream.port}",
        "--metrics-listen": f"127.0.0.1:{free_port()}",
        "--access-log": access_log,
        "--cache": cache,
    }
    arguments = [part for setting in settings.items() for part in setting]
    with running("gateway", port, "gateway", *arguments, logs=logs) as process:
        yield process


def ask(
    server: Process, path: str, headers: Mapping[str, str], body: str | None = None
) -> tuple[dict[str, str], bytes]:
    """The header fields and the body of an answer, which must be a 200: raises `BenchmarkError`."""
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
