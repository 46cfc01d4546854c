"""What `make run` is told by the environment."""

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
    """Where things listen and are kept; `upstream_url` None: the demo's own upstream."""

    data_dir: Path
    authority_port: int
    gateway_port: int
    upstream_port: int
    console_port: int
    upstream_url: str | None
    upstream_api_key: str | None

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads the environment; raises `DemoError` for a port that is none."""
        return cls(
            data_dir=Path(os.environ.get("DATA_DIR") or "data").absolute(),
            authority_port=_port("AUTHORITY_PORT", 50051),
            gateway_port=_port("GATEWAY_PORT", 8080),
            upstream_port=_port("UPSTREAM_PORT", 9090),
            console_port=_port("CONSOLE_PORT", 8081),
            upstream_url=os.environ.get("UPSTREAM_URL") or None,
            upstream_api_key=os.environ.get("UPSTREAM_API_KEY") or None,
        )

    @property
    def authority(self) -> str:
        """The authority's address."""
        return f"127.0.0.1:{self.authority_port}"

    @property
    def gateway(self) -> str:
        """The gateway's address."""
        return f"127.0.0.1:{self.gateway_port}"

    @property
    def console(self) -> str:
        """The console's address."""
        return f"127.0.0.1:{self.console_port}"

    @property
    def upstream(self) -> str:
        """The demo upstream's address."""
        return f"127.0.0.1:{self.upstream_port}"

    def check_ports(self) -> None:
        """Raises `DemoError`, naming the variable that moves it, for a port that can't be had."""
        ports = {
            "AUTHORITY_PORT": self.authority_port,
            "GATEWAY_PORT": self.gateway_port,
            "CONSOLE_PORT": self.console_port,
        }
        if self.upstream_url is None:
            ports["UPSTREAM_PORT"] = self.upstream_port
        for variable, port in ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise DemoError(_cannot_have(port, variable, error)) from None


def _cannot_have(port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: stop what uses it, or choose another one with {variable}=…"
    return f"port {port} can't be had ({error.strerror}): choose another one with {variable}=…"


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise DemoError(f"{variable} is not a port")
    return int(text)
