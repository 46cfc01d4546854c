"""Where the authority's replicas listen: one address or several, separated by commas."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from keyauthority.base.process.settings import HIGHEST_PORT, SettingsError, is_local, socket_path

_is_port = re.compile(r"[0-9]{1,5}").fullmatch
_is_name = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_.])?").fullmatch


class AddressError(ValueError):
    """Text that names no address. The message is one sentence, without the setting it is given by."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address: what gRPC dials, and its host and port if the host is a name to look up."""

    text: str
    name: str = ""
    port: int = 0


def parse_addresses(text: str) -> tuple[Address, ...]:
    """The addresses in *text*: `HOST:PORT` or `unix:/PATH`, several separated by commas.

    Raises:
        AddressError: One of them is neither, or stands there twice.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if parts.count(part) > 1:
            raise AddressError(f"names {part or 'nothing'} twice")
    return tuple(_parse(part) for part in parts)


def check_authority(text: str, tls_ca: Path | None, danger: str) -> None:
    """Raises `SettingsError` if *text* names no address, or one that needs the missing *tls_ca*."""
    try:
        parsed = parse_addresses(text)
    except AddressError as error:
        raise SettingsError(f"--authority {error}") from None
    for address in parsed:
        if tls_ca is None and not is_local(address.text):
            raise SettingsError(
                f"--authority {address.text} {danger} in plaintext over the network: give --tls-ca"
            )


def _parse(part: str) -> Address:
    if part.startswith("unix"):
        if socket_path(part) in (None, Path("/")):
            raise AddressError(f"{part!r} is no Unix socket: give unix:/PATH, absolute")
        return Address(part)
    host, _, port = part.rpartition(":")
    if not _is_port(port) or not 0 < int(port) <= HIGHEST_PORT:
        raise AddressError(f"{part!r} must be HOST:PORT, with a port from 1 to {HIGHEST_PORT}")
    if host.startswith("[") or ":" in host:
        return Address(_ipv6(host, port))
    if not _is_name(host):
        raise AddressError(f"{part!r} must be HOST:PORT or unix:/PATH")
    # What this machine calls itself needs no following; and it is one host, whatever it resolves to.
    if host == "localhost" or _is_ip(host):
        return Address(part)
    return Address(part, host, int(port))


def _ipv6(host: str, port: str) -> str:
    if not (host.startswith("[") and host.endswith("]") and _is_ip(host[1:-1])):
        raise AddressError(f"{host + ':' + port!r} must have its IPv6 address in brackets")
    return f"{host}:{port}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
