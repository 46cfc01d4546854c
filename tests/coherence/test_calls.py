"""Who waits for which call."""

from __future__ import annotations

from keyauthority.coherence.calls import Calls


def test_the_first_is_sent_and_the_others_wait_for_the_next() -> None:
    """Who comes while a call runs gets nothing of it."""
    calls: Calls[str] = Calls()
    assert calls.arrive(b"a", "first")
    assert not calls.arrive(b"a", "second")
    assert not calls.arrive(b"a", "third")
    assert calls.arrive(b"b", "other")
    assert [calls.running(one) for one in (b"a", b"b")] == [["first"], ["other"]]
    assert calls.end(b"a") == ["first"]
    assert calls.proceed(b"a")
    assert not calls.arrive(b"a", "fourth")
    assert calls.end(b"a") == ["second", "third"]
    assert calls.proceed(b"a")
    assert calls.end(b"a") == ["fourth"]
    assert not calls.proceed(b"a")
    assert calls.end(b"b") == ["other"]
    assert all(calls.arrive(one, "fifth") for one in (b"a", b"b"))


def test_those_who_wait_may_be_answered_from_the_cache() -> None:
    """Then their call is over before it is sent."""
    calls: Calls[str] = Calls()
    calls.arrive(b"a", "first")
    calls.arrive(b"a", "second")
    calls.end(b"a")
    assert calls.proceed(b"a")
    assert calls.end(b"a") == ["second"]
    assert not calls.proceed(b"a")
    assert calls.arrive(b"a", "third")
