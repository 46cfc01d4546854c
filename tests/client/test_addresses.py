"""Where replicas listen, as text."""

from __future__ import annotations

import pytest

from keyauthority.client import AddressError, PlaintextError, connect
from keyauthority.client.addresses import parse_addresses
from keyauthority.client.channel import connect_blocking


@pytest.mark.parametrize(
    ("text", "addresses", "names"),
    [
        ("127.0.0.1:50051", ["127.0.0.1:50051"], []),
        ("10.0.0.1:1, 10.0.0.2:1 ,[2001:db8::1]:65535", 3, []),
        ("unix:/run/a,unix:/run/b", ["unix:/run/a", "unix:/run/b"], []),
        ("localhost:1", ["localhost:1"], []),
        ("authority.example.com:50051,b_2:1", 2, [("authority.example.com", 50051), ("b_2", 1)]),
    ],
)
def test_one_or_several(
    text: str, addresses: list[str] | int, names: list[tuple[str, int]]
) -> None:
    """IPv4, IPv6 in brackets, sockets, and names, which alone are looked up."""
    parsed = parse_addresses(text)

    assert addresses in ([each.text for each in parsed], len(parsed))
    assert [(each.name, each.port) for each in parsed if each.name] == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "127.0.0.1:1,",
        "127.0.0.1:1,,127.0.0.1:2",
        "127.0.0.1:1,127.0.0.1:1",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        ":1",
        "::1:1",
        "[::1:1",
        "[no]:1",
        "[authority]:1",
        "dns:1",
        "unix:",
        "127.0.0.1:1;127.0.0.1:2",
        "http://authority:1",
        "dns:///authority:1",
        "au thority:1",
        "authority\n:1",
    ],
)
def test_nonsense_is_refused_in_a_sentence(text: str) -> None:
    """Before anything is dialled."""
    with pytest.raises(AddressError):
        parse_addresses(text)
    with pytest.raises(AddressError):
        connect_blocking(text)


async def test_each_address_needs_tls_beyond_this_machine() -> None:
    """One on a network among several is enough to refuse them all."""
    with pytest.raises(PlaintextError, match=r"192\.0\.2\.1"):
        connect("127.0.0.1:1,192.0.2.1:1")
    with pytest.raises(PlaintextError, match="authority:1"):
        connect_blocking("unix:/a,authority:1")
