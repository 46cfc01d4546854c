"""The bare servers that ours are compared with, and the gateway, as running processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Process, running
from keyauthority.v1.verification_service_pb2 import VerifyResponse
from tests.ports import free_port


@contextmanager
def bare_grpc(reply: VerifyResponse, logs: Path) -> Iterator[Process]:
    """A bare grpc.aio server that always answers *reply*."""
    port, file = free_port(), logs / "reply.pb"
    file.write_bytes(reply.SerializeToString())
    arguments = (str(port), str(file))
    with running("bare-grpc", port, "benchmarks.servers.bare_grpc", *arguments, logs=logs) as it:
        yield it


@contextmanager
def bare_handler(headers: Mapping[str, str], logs: Path, *, access_log: str) -> Iterator[Process]:
    """A bare aiohttp handler that always answers 200 with *headers* and no body."""
    port = free_port()
    arguments = (str(port), json.dumps(dict(headers)), access_log)
    with running(
        "bare-handler", port, "benchmarks.servers.bare_handler", *arguments, logs=logs
    ) as it:
        yield it


@contextmanager
def bare_proxy(upstream: Process, logs: Path, *, access_log: str) -> Iterator[Process]:
    """A bare aiohttp reverse proxy in front of *upstream*; *access_log* is `on` or `off`."""
    port = free_port()
    arguments = (str(port), f"http://127.0.0.1:{upstream.port}", access_log)
    with running("bare-proxy", port, "benchmarks.servers.bare_proxy", *arguments, logs=logs) as it:
        yield it


@contextmanager
def cheap_upstream(logs: Path) -> Iterator[Process]:
    """An upstream that answers everything the same."""
    port = free_port()
    with running("upstream", port, "benchmarks.servers.upstream", str(port), logs=logs) as it:
        yield it
