"""Who waits for which call."""

from __future__ import annotations

from keyauthority.coherence.calls import Calls


def test_those_who_come_before_a_call_is_sent_share_it() -> None:
    """However long it waits for its turn."""
    calls: Calls[str] = Calls()
    assert calls.arrive(b"a", "first")
    assert not calls.arrive(b"a", "second")
    assert calls.send(b"a") == ["first", "second"]
    assert calls.end(b"a") == ["first", "second"]
    assert not calls.proceed(b"a")


def test_those_who_come_while_a_call_runs_wait_for_the_next() -> None:
    """They get nothing of it."""
    calls: Calls[str] = Calls()
    assert calls.arrive(b"a", "first")
    calls.send(b"a")
    assert not calls.arrive(b"a", "second")
    assert not calls.arrive(b"a", "third")
    assert calls.arrive(b"b", "other")
    assert calls.send(b"b") == ["other"]
    assert calls.end(b"a") == ["first"]
    assert calls.proceed(b"a")
    assert calls.send(b"a") == ["second", "third"]
    assert not calls.arrive(b"a", "fourth")
    assert calls.end(b"a") == ["second", "third"]
    assert calls.proceed(b"a")
    assert calls.send(b"a") == calls.end(b"a") == ["fourth"]
    assert not calls.proceed(b"a")
    assert calls.end(b"b") == ["other"]
    assert all(calls.arrive(one, "fifth") for one in (b"a", b"b"))


def test_one_that_is_sent_again_is_for_those_who_came_by_then() -> None:
    """It failed, so its answer is that of the later call."""
    calls: Calls[str] = Calls()
    calls.arrive(b"a", "first")
    calls.send(b"a")
    assert not calls.arrive(b"a", "second")
    assert calls.send(b"a") == ["first", "second"]
    assert not calls.arrive(b"a", "third")
    assert calls.end(b"a") == ["first", "second"]
    assert calls.proceed(b"a")


def test_those_who_wait_may_be_answered_from_the_cache() -> None:
    """Then their call is over before it is sent."""
    calls: Calls[str] = Calls()
    calls.arrive(b"a", "first")
    calls.send(b"a")
    calls.arrive(b"a", "second")
    calls.end(b"a")
    assert calls.proceed(b"a")
    assert calls.withdraw(b"a") == ["second"]
    assert not calls.proceed(b"a")
    assert calls.arrive(b"a", "third")
