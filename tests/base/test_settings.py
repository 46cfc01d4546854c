"""What an address is, to all programs alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config import Settings as ConsoleSettings
from gateway.config import Settings as GatewaySettings
from keyauthority.base.process.settings import (
    SettingsError,
    check_address,
    host_and_port,
    is_local,
    socket_path,
)
from keyauthority.client import AddressError, PlaintextError, connect
from keyauthority.config import Settings

NO_SOCKETS = [
    "unix:",
    "unix:/",
    "unix:8080",
    "unix:relative",
    "unix:./relative",
    "unix://host/path",
    "unix-abstract:8080",
    "unix-abstract:name",
    "unix:relative/with:8080",
    "UNIX:8080",
]


@pytest.mark.parametrize("address", ["unix:/run/a.sock", "unix:///run/a.sock"])
def test_a_socket(address: str) -> None:
    """It has an absolute path."""
    assert socket_path(address) == Path("/run/a.sock")
    assert is_local(address)
    check_address(address, "--listen")


@pytest.mark.parametrize("address", NO_SOCKETS)
def test_what_is_no_socket_is_local_to_nobody(address: str) -> None:
    """Neither for the authority nor for those who call it: it never goes without TLS."""
    if address != "unix:/":
        assert not is_local(address)
        with pytest.raises((AddressError, PlaintextError)):
            connect(address)
    if address != "UNIX:8080":
        with pytest.raises(ValueError, match="--listen"):
            check_address(address, "--listen")


@pytest.mark.parametrize("address", ["unix:8080", "unix-abstract:8080", "dns:8080", "vsock:1"])
def test_the_name_of_a_scheme_is_no_host(address: str) -> None:
    """What gRPC takes for a scheme a web server would take for a host."""
    with pytest.raises(ValueError, match=f"--listen {address} is not HOST:PORT"):
        host_and_port(address, "--listen")


@pytest.mark.parametrize("address", ["[host]:1", "::1:1", "[::1:1"])
def test_brackets_are_for_ipv6(address: str) -> None:
    """A name in brackets is no host, and an IPv6 address without them is none either."""
    with pytest.raises(ValueError, match="--listen must be HOST:PORT, an IPv6 host in brackets"):
        host_and_port(address, "--listen")


@pytest.mark.parametrize("address", ["unix:8080", "unix:relative", "unix-abstract:8080"])
@pytest.mark.parametrize("tls", [None, Path("pem")])
def test_no_program_listens_there(address: str, tls: Path | None, tmp_path: Path) -> None:
    """With TLS or without."""
    key = tmp_path / "keyring.json"
    with pytest.raises(SettingsError):
        Settings(address, tmp_path, tmp_path / "a.db", key, tls_cert=tls, tls_key=tls)
    with pytest.raises(SettingsError):
        GatewaySettings(
            listen=address,
            authority="unix:/a",
            token_file=key,
            upstream="http://127.0.0.1",
            tls_cert=tls,
            tls_key=tls,
        )
    with pytest.raises(SettingsError):
        ConsoleSettings(
            listen=address,
            authority="unix:/a",
            token_file=key,
            database=tmp_path / "c.db",
            tls_cert=tls,
            tls_key=tls,
        )


@pytest.mark.parametrize("address", ["unix:8080", "unix:relative", "unix-abstract:name"])
def test_no_program_calls_the_authority_there_in_plaintext(address: str, tmp_path: Path) -> None:
    """It could be a host of that name, or anybody's socket."""
    with pytest.raises(SettingsError, match="--authority"):
        GatewaySettings(
            listen="127.0.0.1:0",
            authority=address,
            token_file=tmp_path / "t",
            upstream="http://127.0.0.1",
        )
    with pytest.raises(SettingsError, match="--authority"):
        ConsoleSettings(
            listen="127.0.0.1:0", authority=address, token_file=tmp_path / "t", database=tmp_path
        )
