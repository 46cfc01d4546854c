"""A verifier's cache: when it may answer, and what it believes."""

from __future__ import annotations

import pytest

from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain.sessions import Claim, Head
from tests.coherence.parts import answer, kept, leased


def test_a_hit_needs_the_lease() -> None:
    """It lasts from when the Sync was sent, whenever the reply came."""
    cache = leased(at=10.0)
    entry = kept(cache, b"a", answer(), at=10.0)
    assert cache.get(b"a", 12.9) is entry
    assert entry.used
    assert cache.get(b"a", 13.0) is None
    assert not cache.holds_lease(13.0)


def test_a_hit_needs_the_answer_to_hold() -> None:
    """An answer that holds for a second is given for a second."""
    cache = leased()
    kept(cache, b"a", answer(until=1.0))
    assert cache.get(b"a", 0.9) is not None
    assert cache.get(b"a", 1.0) is None


def test_a_refusal_for_good_needs_neither() -> None:
    """Without a lease, and however old, REVOKED is REVOKED."""
    cache = leased()
    final = kept(cache, b"a", answer(until=1.0, final=True))
    cache.lose_lease()
    assert cache.get(b"a", 1000.0) is final
    assert cache.get(b"b", 0.0) is None


def test_a_refusal_for_good_is_never_replaced() -> None:
    """What comes later than it gives way to it."""
    cache = leased()
    final = kept(cache, b"a", answer(final=True))
    assert kept(cache, b"a", answer()) is final
    assert cache.get(b"a", 0.0) is final


def test_a_revoked_key_takes_its_other_secrets_along() -> None:
    """But a retired secret does not."""
    cache = leased()
    kept(cache, b"new", answer())
    kept(cache, b"old", answer(final=True))
    assert cache.get(b"new", 0.0) is not None
    cache.keep(cache.ask(0.0), b"other", answer(final=True), whole_key=True)
    assert cache.get(b"new", 0.0) is None
    assert cache.get(b"old", 0.0) is not None


def test_what_does_not_hold_is_not_kept() -> None:
    """UNKNOWN of a foreign secret holds for no time at all, counted from the asking."""
    cache = leased()
    kept(cache, b"a", answer(until=0.0))
    assert len(cache.entries) == 0


def test_a_question_says_how_old_its_answer_may_be() -> None:
    """As old as what was seen last; before the first Sync no cache may answer."""
    cache: CoherentCache[Cached] = CoherentCache(10)
    assert cache.ask(1.0).fresh
    cache.apply(cache.begin_sync(1.0), "session", Head(1, 5), None, 3.0)
    assert cache.stands(cache.ask(1.0), Head(1, 7))
    ask = cache.ask(2.0)
    assert (ask.sent, ask.epoch, ask.at_least, ask.applied, ask.fresh) == (2.0, 1, 7, 5, False)


@pytest.mark.parametrize(
    ("head", "stands"),
    [
        (Head(1, 5), True),
        (Head(1, 6), True),
        (Head(1, 4), False),
        (Head(2, 6), False),
        (Head(0, 6), False),
    ],
)
def test_an_answer_stands_if_it_is_new_enough(head: Head, stands: bool) -> None:
    """Below what was applied, or of another epoch, it is asked for again."""
    cache = leased(head=Head(1, 5))
    assert cache.stands(cache.ask(0.0), head) is stands


def test_an_answer_asked_for_before_an_epoch_does_not_stand() -> None:
    """Not even if it was given in the new one."""
    cache = leased(head=Head(1, 5))
    ask = cache.ask(0.0)
    cache.apply(cache.begin_sync(0.0), "session", Head(2, 3), None, 3.0)
    assert not cache.stands(ask, Head(2, 3))


def test_an_answer_below_what_was_seen_meanwhile_does_not_stand() -> None:
    """Though nothing of it is applied yet."""
    cache = leased(head=Head(1, 5))
    late = cache.ask(0.0)
    assert cache.stands(cache.ask(0.0), Head(1, 6))
    assert not cache.stands(late, Head(1, 5))


def test_what_changed_is_dropped_and_then_acknowledged() -> None:
    """The claim of the next Sync is made of what is applied."""
    cache = leased(head=Head(1, 5))
    kept(cache, b"a", answer("key1"))
    kept(cache, b"b", answer("key2"))
    call = cache.begin_sync(1.0)
    assert call.claim == Claim(1, 5)
    assert call.session_id == "session"
    assert cache.apply(call, "session", Head(1, 6), ["key1"], 3.0)
    assert cache.get(b"a", 1.0) is None
    assert cache.get(b"b", 3.9) is not None
    assert cache.begin_sync(2.0).claim == Claim(1, 6)


def test_a_reset_drops_everything_but_refusals_for_good() -> None:
    """And so does a new epoch, whatever the list says."""
    for head in (Head(1, 6), Head(2, 3)):
        cache = leased(head=Head(1, 5))
        kept(cache, b"a", answer())
        kept(cache, b"b", answer(final=True))
        subjects = None if head.epoch == 1 else ()
        assert cache.apply(cache.begin_sync(0.0), "session", head, subjects, 3.0)
        assert [digest for digest, _ in cache.entries] == [b"b"]
        assert (cache.epoch, cache.applied, cache.seen) == (head.epoch, *[head.revision] * 2)


def test_only_the_newest_sync_counts() -> None:
    """A reply to one that was given up changes nothing, nor does its end."""
    cache = leased(head=Head(1, 5))
    old, new = cache.begin_sync(1.0), cache.begin_sync(1.1)
    assert not cache.apply(old, "other", Head(1, 9), None, 3.0)
    cache.session_gone(old)
    assert (cache.session_id, cache.applied) == ("session", 5)
    cache.session_gone(new)
    assert cache.begin_sync(1.2).session_id == ""


def test_a_shorter_lease_takes_nothing_away() -> None:
    """Who granted the longer one knows of it."""
    cache = leased(at=0.0)
    cache.apply(cache.begin_sync(0.5), "session", Head(1, 5), (), 1.0)
    assert cache.holds_lease(2.9)


@pytest.mark.parametrize("head", [Head(1, 4), Head(0, 9)])
def test_books_that_went_back_are_not_followed(head: Head) -> None:
    """It is counted, and until the next grant every question is a call."""
    cache = leased(head=Head(1, 5))
    assert not cache.apply(cache.begin_sync(1.0), "session", head, None, 3.0)
    assert cache.alarms == 1
    assert not cache.holds_lease(1.0)
    assert (cache.epoch, cache.applied) == (1, 5)


def test_books_that_went_back_leave_only_refusals_for_good() -> None:
    """When the head has caught up nobody says what was changed on the way: nothing may be left."""
    cache = leased(head=Head(1, 5))
    accepted = kept(cache, b"a", answer())
    final = kept(cache, b"b", answer(final=True))
    asked_before = cache.ask(0.5)
    cache.apply(cache.begin_sync(1.0), "session", Head(1, 4), None, 3.0)
    assert cache.apply(cache.begin_sync(2.0), "session", Head(1, 5), (), 3.0)
    assert not accepted.alive
    assert (cache.get(b"a", 2.0), cache.get(b"b", 2.0)) == (None, final)
    assert not cache.stands(asked_before, Head(1, 5))
    assert cache.stands(cache.ask(2.0), Head(1, 5))


def test_books_that_are_behind_an_answer_went_back() -> None:
    """A Sync sent after a revision was seen answers by it, or the books went back."""
    cache = leased(head=Head(1, 5))
    under_way = cache.begin_sync(1.0)
    assert cache.stands(cache.ask(1.0), Head(1, 7))
    assert cache.apply(under_way, "session", Head(1, 6), (), 3.0)
    assert not cache.apply(cache.begin_sync(2.0), "session", Head(1, 6), (), 3.0)
    assert cache.alarms == 1


def test_after_leaving_there_is_no_hit_and_no_grant() -> None:
    """Late replies are ignored, and nothing more is kept."""
    cache = leased()
    kept(cache, b"a", answer())
    call = cache.begin_sync(0.0)
    assert cache.leave() == "session"
    assert cache.get(b"a", 0.0) is None
    assert not cache.apply(call, "session", Head(1, 9), (), 3.0)
    assert not cache.holds_lease(0.0)
    kept(cache, b"b", answer())
    assert cache.entries.find(b"b") is None


def test_whether_foreign_secrets_exist_is_told_by_each_sync() -> None:
    """Before the first, they may."""
    cache: CoherentCache[Cached] = CoherentCache(10)
    assert cache.foreign_secrets
    for told in (False, True):
        cache.apply(cache.begin_sync(0.0), "s", Head(1, 5), None, 3.0, foreign_secrets=told)
        assert cache.foreign_secrets is told
