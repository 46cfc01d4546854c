"""The settings that all programs share: addresses, log levels, and TLS files."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final

HIGHEST_PORT: Final = 65_535
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

# gRPC reads these as schemes, and web servers as names of hosts.
_SCHEMES: Final = frozenset({"unix", "unix-abstract", "vsock", "dns", "ipv4", "ipv6", "xds"})
_is_port: Final = re.compile(r"[0-9]{1,5}").fullmatch


class SettingsError(ValueError):
    """A wrong setting. The message names its flag, and says what to do."""


class AddressError(SettingsError):
    """Text that names no address."""


def socket_path(address: str) -> Path | None:
    """Returns the path of `unix:/PATH` or `unix:///PATH`, None for everything else.

    A relative path would depend on the working folder, and one of digits would look like a port. An
    abstract socket has no owner: whoever comes first has it.
    """
    path = address.removeprefix("unix:")
    if path == address or not path.startswith("/"):
        return None
    if path.startswith("//"):
        # After exactly two slashes stands a host.
        return Path(path[2:]) if path.startswith("///") else None
    return Path(path)


def is_local(address: str) -> bool:
    """Returns whether *address* can only be reached from this machine."""
    if socket_path(address) is not None:
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_and_port(address: str, flag: str) -> tuple[str, int]:
    """Returns the two parts of HOST:PORT. Raises `AddressError`, naming *flag*, for anything else."""
    host, _, port = address.rpartition(":")
    if host.partition(":")[0] in _SCHEMES:
        raise AddressError(f"{flag} {address} is not HOST:PORT")
    if not host or (":" in host) != (host.startswith("[") and host.endswith("]")):
        raise AddressError(f"{flag} must be HOST:PORT, an IPv6 host in brackets, not {address!r}")
    if not _is_port(port) or int(port) > HIGHEST_PORT:
        raise AddressError(f"{flag} {address} lacks a port between 0 and {HIGHEST_PORT}")
    return host.strip("[]"), int(port)


def check_address(address: str, flag: str) -> None:
    """Raises `AddressError`, naming *flag*, if *address* is neither HOST:PORT nor unix:/PATH."""
    if not address.startswith("unix"):
        host_and_port(address, flag)
    elif socket_path(address) in (None, Path("/")):
        raise AddressError(f"{flag} {address} is no Unix socket: give unix:/PATH, absolute")


def address_of(host: str, port: int) -> str:
    """Returns HOST:PORT, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_server_tls(
    listen: str, certificate: Path | None, key: Path | None, danger: str, otherwise: str
) -> None:
    """Raises `SettingsError` for half a pair, and for plaintext from beyond this machine.

    *danger* says what plaintext would expose, *otherwise* where plaintext is allowed.
    """
    if (certificate is None) != (key is None):
        raise SettingsError("--tls-cert and --tls-key need one another")
    if certificate is None and not is_local(listen):
        raise SettingsError(
            f"--listen {listen} would take {danger} in plaintext from the network: "
            f"give --tls-cert and --tls-key, or listen on {otherwise}"
        )


def check_client_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> None:
    """Raises `SettingsError` for half a pair, and for one that no server asks for."""
    if certificate is not None and ca is None:
        raise SettingsError("--tls-client-cert needs --tls-ca")
    if (certificate is None) != (key is None):
        raise SettingsError("--tls-client-cert and --tls-client-key need one another")
