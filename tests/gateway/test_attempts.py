"""The brake on failed attempts."""

from __future__ import annotations

from gateway.sources import Attempts


class ManualClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(attempts: Attempts, times: int, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        attempts.refused(address)


def test_an_address_has_so_many_failures_a_minute() -> None:
    """The next unknown secret is not looked up, until the time told has passed."""
    clock = ManualClock()
    attempts = Attempts(10, clock)
    fail(attempts, 9)
    assert attempts.admits("192.0.2.1")

    fail(attempts, 1)

    assert not attempts.admits("192.0.2.1")
    clock.now += attempts.retry_after
    assert attempts.admits("192.0.2.1")


def test_who_failed_lately_is_suspect() -> None:
    """For about a minute, whether or not it may go on."""
    clock = ManualClock()
    attempts = Attempts(300, clock)
    fail(attempts, 1)

    assert attempts.admits("192.0.2.1")
    assert attempts.suspects("192.0.2.1")
    assert not attempts.suspects("192.0.2.2")
    clock.now += 59
    assert attempts.suspects("192.0.2.1")
    clock.now += 2
    assert not attempts.suspects("192.0.2.1")


def test_nobody_known_is_not_told_to_wait() -> None:
    """It is everybody behind a proxy; but it comes after those that are known to be good."""
    attempts = Attempts(1, ManualClock())
    for _ in range(5):
        attempts.refused(None)

    assert attempts.admits(None)
    assert attempts.suspects(None)


def test_addresses_are_counted_apart_and_ipv6_by_network() -> None:
    """One network of IPv6 is one client; IPv4 inside IPv6 is IPv4."""
    attempts = Attempts(1, ManualClock())
    fail(attempts, 1, "2001:db8::1")
    fail(attempts, 1, "::ffff:192.0.2.1")

    assert not attempts.admits("2001:db8::ffff")
    assert attempts.admits("2001:db8:0:1::1")
    assert not attempts.admits("192.0.2.1")
    assert attempts.admits("192.0.2.2")
    assert attempts.admits(None)


def test_zero_switches_it_off() -> None:
    """Behind a proxy all clients share an address."""
    attempts = Attempts(0, ManualClock())
    fail(attempts, 1000)

    assert attempts.admits("192.0.2.1")


def test_the_wait_is_at_most_a_minute() -> None:
    """Clients that are told to wait longer give up or ignore it."""
    assert Attempts(1).retry_after == 60
    assert Attempts(100_000).retry_after == 1


def test_the_books_are_bounded() -> None:
    """A flood from many addresses costs bounded memory; the oldest is forgotten."""
    attempts = Attempts(1, ManualClock())
    for number in range(10_001):
        attempts.refused(f"host-{number}")

    assert len(attempts._drained_at) == 10_000
    assert attempts.admits("host-0")
