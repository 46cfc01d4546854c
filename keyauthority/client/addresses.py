"""Where the authority's replicas listen: one address or several, separated by commas."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from keyauthority.base.process.settings import (
    AddressError,
    SettingsError,
    check_address,
    host_and_port,
    is_local,
    socket_path,
)

_is_name = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_.])?").fullmatch


@dataclass(frozen=True, slots=True)
class Address:
    """One address: what gRPC dials, and its host and port if the host is a name to look up."""

    text: str
    name: str = ""
    port: int = 0


def parse_addresses(text: str, flag: str = "the address") -> tuple[Address, ...]:
    """Returns the addresses in *text*: `HOST:PORT` or `unix:/PATH`, several separated by commas.

    Raises:
        AddressError: One of them is neither, or stands there twice. The sentence begins with *flag*.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(set(parts)) < len(parts):
        raise AddressError(f"{flag} names an address twice")
    return tuple(_parse(part, flag) for part in parts)


def check_authority(text: str, tls_ca: Path | None, danger: str) -> None:
    """Raises `SettingsError` if *text* names no address, or one that needs the missing *tls_ca*."""
    for address in parse_addresses(text, "--authority"):
        if tls_ca is None and not is_local(address.text):
            raise SettingsError(
                f"--authority {address.text} {danger} in plaintext over the network: give --tls-ca"
            )


def _parse(text: str, flag: str) -> Address:
    check_address(text, flag)
    if socket_path(text) is not None:
        return Address(text)
    host, port = host_and_port(text, flag)
    if port == 0 or not (_is_name(host) or _is_ip(host)):
        raise AddressError(f"{flag} {text!r} must be HOST:PORT or unix:/PATH")
    # What this machine calls itself is one host, whatever it resolves to, and never moves.
    return Address(text) if host == "localhost" or _is_ip(host) else Address(text, host, port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
