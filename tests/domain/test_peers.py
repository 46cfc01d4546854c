"""Places that nobody fills alone."""

from __future__ import annotations

from contextlib import ExitStack

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.peers import PeerPlaces


def filled(taken: ExitStack, places: PeerPlaces, peer: str) -> int:
    """How many places *peer* gets before it is refused; *taken* gives them up."""
    for number in range(1_000):
        try:
            taken.enter_context(places.place(peer))
        except KeyAuthorityError:
            return number
    raise AssertionError("no bound")


def test_no_peer_fills_places_alone() -> None:
    """A connection gets its few, a host half of what is free; the next host finds room."""
    places, stack, other = PeerPlaces(40, per_connection=10), ExitStack(), ExitStack()
    assert filled(stack, places, "ipv4:10.0.0.1:1000") == 10
    assert filled(other, places, "ipv4:10.0.0.1:1001") == 10
    assert filled(stack, places, "ipv4:10.0.0.1:1002") == 0
    assert filled(stack, places, "ipv4:10.0.0.2:1000") == 10
    assert filled(stack, places, "ipv6:%5B2001:db8::1%5D:1000") == 5
    assert filled(stack, places, "ipv6:%5B2001:db8::2%5D:1000") == 0
    assert filled(stack, places, "ipv6:%5B2001:db8:0:1::1%5D:1000") == 3
    other.close()
    assert filled(stack, places, "ipv4:10.0.0.1:1003") == 1


def test_who_comes_by_a_socket_is_only_counted() -> None:
    """All its connections have one name; the socket's permissions have let them in."""
    assert filled(ExitStack(), PeerPlaces(40, per_connection=10), "unix:") == 40
