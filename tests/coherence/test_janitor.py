"""Whose session ends."""

from __future__ import annotations

from keyauthority.coherence.sessions import Janitor


def test_who_stands_still_for_w_goes() -> None:
    """Counted from when it was first seen so."""
    janitor = Janitor()
    assert janitor.look([("a", 1)], 10.0, 3.0) == []
    assert janitor.look([("a", 1)], 12.9, 3.0) == []
    assert janitor.look([("a", 1)], 13.0, 3.0) == [("a", 1)]


def test_a_beat_starts_it_anew() -> None:
    """A session that moves stays."""
    janitor = Janitor()
    janitor.look([("a", 1)], 10.0, 3.0)
    assert janitor.look([("a", 2)], 13.0, 3.0) == []
    assert janitor.look([("a", 2)], 16.0, 3.0) == [("a", 2)]


def test_who_is_gone_is_forgotten() -> None:
    """So that one seen again later is not taken for one that stood still."""
    janitor = Janitor()
    janitor.look([("a", 1), ("b", 2)], 10.0, 3.0)
    assert janitor.look([("b", 2)], 11.0, 3.0) == []
    assert janitor.look([("a", 1), ("b", 2)], 13.0, 3.0) == [("b", 2)]
    assert len(janitor._still) == 2
    janitor.look([], 14.0, 3.0)
    assert janitor._still == {}
