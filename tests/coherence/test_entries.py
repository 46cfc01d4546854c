"""What is kept, what makes room, and what is dropped with what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keyauthority.coherence.entries import Cached, Entries
from tests.coherence.parts import answer


def digests(entries: Entries[Cached]) -> list[bytes]:
    """The digests of what is there, in the order of their turn to make room."""
    end = entries._line._end
    line, entry = [], end.newer
    while entry is not end:
        assert entry.newer.older is entry
        line.append(entry.digest)
        entry = entry.newer
    assert sorted(line) == sorted(digest for digest, _ in entries)
    return line


def check_indices(entries: Entries[Cached]) -> None:
    """What finds an answer by its key or workspace finds just what is there."""
    of_key: dict[str, set[bytes]] = {}
    of_workspace: dict[str, set[str]] = {}
    for digest, entry in entries:
        if entry.key_id:
            of_key.setdefault(entry.key_id, set()).add(digest)
            of_workspace.setdefault(entry.workspace_id, set()).add(entry.key_id)
    chains = {key: [one.digest for one in entries.of_key(key)] for key in entries._of_key}
    assert {key: set(chain) for key, chain in chains.items()} == of_key
    assert all(len(set(chain)) == len(chain) for chain in chains.values())
    assert entries._of_workspace == of_workspace


def test_the_unused_make_room_first() -> None:
    """Who was asked for since its last turn goes to the end of the line, once."""
    entries: Entries[Cached] = Entries(3)
    for digest in (b"a", b"b", b"c"):
        entries.put(digest, answer())
    used = entries.find(b"a")
    assert used is not None
    used.used = True
    entries.put(b"d", answer())
    assert digests(entries) == [b"c", b"a", b"d"]
    assert not used.used
    entries.put(b"e", answer())
    entries.put(b"f", answer())
    assert digests(entries) == [b"d", b"e", b"f"]
    assert not used.alive


def test_where_all_are_used_the_ninth_makes_room() -> None:
    """No answer waits for a second chance of the whole cache, so that `put` takes bounded time."""
    entries: Entries[Cached] = Entries(100)
    before = [answer() for _ in range(100)]
    for number, entry in enumerate(before):
        entries.put(b"%d" % number, entry)
        entry.used = True
    entries.put(b"new", answer())
    assert [entry.alive for entry in before[:10]] == [True] * 8 + [False, True]
    assert [entry.used for entry in before[:10]] == [False] * 8 + [True, True]


class _Counted(dict[bytes, Cached]):
    """A dictionary that counts how often somebody walks over it."""

    walks = 0

    def __iter__(self) -> Iterator[bytes]:
        self.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        self.walks += 1
        return super().items()

    def values(self) -> Any:
        self.walks += 1
        return super().values()


def test_making_room_walks_over_nothing() -> None:
    """A dictionary's walk starts with the slots of all that was deleted from its front."""
    entries: Entries[Cached] = Entries(3)
    counted = entries._by_digest = _Counted()
    entries.find = counted.get
    for number in range(100):
        entries.put(b"%d" % number, answer(f"key{number}"))
    assert len(counted) == 3
    assert counted.walks == 0


def test_a_key_is_dropped_with_all_its_secrets() -> None:
    """What changed is dropped, and who has it in hand can tell."""
    entries: Entries[Cached] = Entries(10)
    one, two, other = answer("key1"), answer("key1"), answer("key2")
    for digest, entry in ((b"a", one), (b"b", two), (b"c", other)):
        entries.put(digest, entry)
    entries.drop_subject("key1")
    assert digests(entries) == [b"c"]
    assert (one.alive, two.alive, other.alive) == (False, False, True)


def test_a_workspace_is_dropped_with_all_its_keys() -> None:
    """Keys of others stay, and so does what is final."""
    entries: Entries[Cached] = Entries(10)
    entries.put(b"a", answer("key1", "here"))
    entries.put(b"b", answer("key2", "here"))
    entries.put(b"c", answer("key3", "there"))
    entries.put(b"d", answer("key1", "here", final=True))
    entries.drop_subject("here")
    assert digests(entries) == [b"c", b"d"]
    entries.drop_all()
    assert digests(entries) == [b"d"]
    entries.put(b"d", answer("key1", "here"))
    final = entries.find(b"d")
    assert final is not None
    assert final.final


SUBJECTS = st.sampled_from(["key1", "key2", "key3", "here", "there", "unknown"])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.sampled_from([b"a", b"b", b"c", b"d", b"e"]),
            st.sampled_from([("key1", "here"), ("key2", "here"), ("key3", "there"), ("", "")]),
            st.booleans(),
        ),
        st.tuples(st.just("drop"), SUBJECTS),
        st.tuples(st.just("use"), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just("drop all")),
    )
)


@given(capacity=st.integers(1, 4), steps=STEPS)
def test_nothing_is_left_behind(capacity: int, steps: list[tuple[object, ...]]) -> None:
    """Whatever comes and goes: never too many, no index of what is gone, no answer that none finds."""
    entries: Entries[Cached] = Entries(capacity)
    for step in steps:
        match step:
            case ("put", bytes() as digest, (str() as key, str() as workspace), bool() as final):
                entries.put(digest, answer(key, workspace, final=final))
            case ("drop", str() as subject):
                entries.drop_subject(subject)
                assert not any(
                    subject in (entry.key_id, entry.workspace_id) and not entry.final
                    for _, entry in entries
                )
            case ("use", bytes() as digest):
                found = entries.find(digest)
                if found is not None:
                    found.used = True
            case _:
                entries.drop_all()
        assert len(entries) <= capacity
        assert all(entry.alive for _, entry in entries)
        check_indices(entries)
        digests(entries)
