"""The book of sessions, and what claims are worth in it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyauthority.coherence.sessions import SessionBook, credited, resets
from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Head, Standing, Terms

LEASE = timedelta(seconds=3)


def at(book: SessionBook, revision: int) -> tuple[int, int]:
    terms = Terms(LEASE, LEASE, settling=False, foreign_secrets=False)
    counts = Standing(book.standing(), terms).at(revision)
    return counts.acknowledged, counts.behind


def beats(book: SessionBook) -> dict[str, int]:
    return {session_id: entry.beat for session_id, entry in book}


def test_a_session_is_behind_until_it_acknowledges() -> None:
    """A session that has just joined has acknowledged nothing."""
    book = SessionBook()
    book.join("a", "caller")
    book.join("b", "caller")
    assert at(book, 1) == (0, 2)
    book.acknowledge("a", 1)
    assert at(book, 1) == (1, 1)
    assert at(book, 2) == (0, 2)


def test_an_acknowledgement_does_not_fall() -> None:
    """A late request that claims less takes nothing back; a reset does."""
    book = SessionBook()
    book.join("a", "caller")
    book.acknowledge("a", 5)
    book.acknowledge("a", 3)
    assert at(book, 5) == (1, 0)
    book.acknowledge("a", 0)
    assert at(book, 1) == (0, 1)


def test_an_unknown_session_acknowledges_nothing() -> None:
    """What ended is not brought back by a late acknowledgement."""
    book = SessionBook()
    book.acknowledge("gone", 5)
    assert list(book) == []


def test_no_beat_is_given_twice() -> None:
    """Beats go up over all sessions, over their end, and over a restore."""
    book = SessionBook()
    seen = []
    for _ in range(2):
        book.join("a", "caller")
        seen.append(beats(book)["a"])
        assert book.beat("a", "caller")
        seen.append(beats(book)["a"])
        book.clear()
    assert seen == sorted(set(seen))


def test_a_session_is_its_callers() -> None:
    """Nobody else beats it, nor ends it."""
    book = SessionBook()
    book.join("a", "caller")
    before = beats(book)
    assert not book.beat("a", "other")
    assert not book.beat("b", "caller")
    book.leave("a", "other")
    assert beats(book) == before
    assert (book.of_caller("caller"), book.of_caller("other")) == (1, 0)
    book.leave("a", "caller")
    assert "a" not in book


def test_a_session_that_moved_is_not_removed() -> None:
    """A janitor ends what stood still, at the very beat that it saw."""
    book = SessionBook()
    book.join("a", "caller")
    seen = beats(book)["a"]
    book.beat("a", "caller")
    book.remove("a", seen)
    assert "a" in book
    book.remove("a", beats(book)["a"])
    book.remove("a", 1)
    assert "a" not in book


@pytest.mark.parametrize(
    ("claim", "worth", "reset"),
    [
        (Claim(2, 7), 7, False),
        (Claim(2, 10), 10, False),
        (Claim(2, 11), 0, True),
        (Claim(1, 7), 0, True),
        (Claim(3, 7), 0, True),
        (Claim(0, 0), 0, True),
        (Claim(2, 0), 0, False),
    ],
)
def test_a_claim_is_worth_what_these_books_can_have_told(
    claim: Claim, worth: int, reset: bool
) -> None:
    """One of another epoch or above the head is worth nothing, and answered with a reset."""
    head = Head(2, 10)
    assert credited(claim, head) == worth
    assert resets(claim, head) is reset


def test_who_may_hold_no_lease_is_not_behind() -> None:
    """It neither acknowledged nor is waited for."""
    book = SessionBook()
    book.join("a", "caller")
    book.join("b", "caller")
    assert book.allow("a", WHOLE, Allowance(timedelta(), timedelta()))
    assert at(book, 1) == (0, 1)


def test_an_allowance_is_changed_from_what_it_is() -> None:
    """Who decided by an older one, or about a session that is gone, changes nothing."""
    book = SessionBook()
    book.join("a", "caller")
    assert book.allow("a", WHOLE, Allowance(LEASE / 2))
    assert not book.allow("a", WHOLE, Allowance(LEASE / 4))
    half = book.allowance("a")
    assert half.lease == LEASE / 2
    assert book.allow("a", half, WHOLE)
    assert book.allowance("a").number != half.number
    assert not book.allow("gone", WHOLE, WHOLE)
    assert book.allowance("gone") == WHOLE
