"""Lines of those who wait, and who of them is next."""

from __future__ import annotations

import pytest

from keyauthority.client.lines import Lines


def served(lines: Lines[str]) -> list[str]:
    return [lines.next() for _ in range(len(lines))]


def test_sources_are_served_in_turn() -> None:
    """Who asks once waits for one of each of the others, however many these have."""
    lines = Lines[str](100)
    for one in ("a1", "a2", "a3", "b1", "b2", "c1"):
        assert lines.join(one[0], one)

    assert served(lines) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_comes_back_is_behind_those_who_wait() -> None:
    """A source that was just served has its turn after all others."""
    lines = Lines[str](100)
    for one in ("a1", "a2", "b1"):
        lines.join(one[0], one)
    assert lines.next() == "a1"
    lines.join("a", "a3")

    assert served(lines) == ["b1", "a2", "a3"]


def test_one_source_leaves_room_for_others() -> None:
    """Half of the room for one alone; a newcomer still finds some, and another after it."""
    lines = Lines[int](100)

    def fill(source: str) -> int:
        length = len(lines)
        while lines.join(source, 0):
            pass
        return len(lines) - length

    assert [fill(source) for source in ("a", "b", "c")] == [50, 25, 13]


def test_the_lines_are_bounded() -> None:
    """However many sources there are, and nothing is kept of who was served."""
    lines = Lines[int](100)
    assert sum(lines.join(str(number), number) for number in range(1_000)) == 100

    for number in range(100):
        assert lines.next() == number
    assert lines._lines == {}
    with pytest.raises(KeyError):
        lines.next()
