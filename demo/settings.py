"""The environment of `make run`."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path


class DemoError(Exception):
    """The demo can't start or go on; the message is one sentence that says what to do about it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses (HOST:PORT), the folder of all files, and the API behind the gateway."""

    data_dir: Path
    authority: str
    gateway: str
    console: str
    # The demo's own upstream; None: the API at `upstream_url` stands behind the gateway.
    upstream: str | None
    upstream_url: str
    upstream_api_key: str | None

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads the environment; raises `DemoError` for a port that is none or can't be had."""
        data_dir = Path(os.environ.get("DATA_DIR") or "data").absolute()
        authority = _address("AUTHORITY_PORT", 50051)
        gateway = _address("GATEWAY_PORT", 8080)
        console = _address("CONSOLE_PORT", 8081)
        url, key = os.environ.get("UPSTREAM_URL"), os.environ.get("UPSTREAM_API_KEY") or None
        upstream = None if url else _address("UPSTREAM_PORT", 9090)
        url = url or f"http://{upstream}"
        return cls(data_dir, authority, gateway, console, upstream, url, key)


def _address(variable: str, default: int) -> str:
    text = os.environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise DemoError(f"{variable} is not a port")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(_cannot_have(port, variable, error)) from None
    return f"127.0.0.1:{port}"


def _cannot_have(port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: stop what uses it, or choose another one with {variable}=…"
    return f"port {port} can't be had ({error.strerror}): choose another one with {variable}=…"
