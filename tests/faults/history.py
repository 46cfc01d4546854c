"""What happened in a run: changes and questions, each with its time, all by one host's clock.

Times are seconds of `clocks.boottime`, which every process of one machine shares, whatever its
network namespace. A record never holds a secret: secrets go by numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias


class Kind(StrEnum):
    """What a change does to the secrets it is about. The first two are for good."""

    REVOKE = "revoke"
    RETIRE = "retire"
    SUSPEND = "suspend"
    RESUME = "resume"


class Outcome(StrEnum):
    """What became of a question.

    `REFUSED` says that the key is no good (401, REVOKED), `SUSPENDED` that its workspace is not,
    `NO_VERDICT` that nobody could tell (503). `UNKNOWN` is a question that got no answer, and
    `UNEXPECTED` an answer that nothing explains.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    NO_VERDICT = "no verdict"
    UNKNOWN = "unknown"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Minted:
    """A secret, from the moment on at which its holder was told."""

    secret: int
    key: str
    workspace: str
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """One attempt to change something: a key, a workspace or, by its number, a secret.

    `returned` is None if its caller was not told that it is made; `made` is when it was known to be,
    from whatever source.
    """

    kind: Kind
    target: str
    invoked: float
    returned: float | None
    made: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question about a secret. `place` is the verifier that was asked; `FRESH` is none."""

    place: str
    secret: int
    invoked: float
    returned: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Hits:
    """How many questions a verifier has answered from its memory since its start."""

    place: str
    number: int


FRESH = "fresh"
"""The place of a question that the database has to answer."""

Record: TypeAlias = Minted | Change | Ask | Hits

_TYPES = {record.__name__: record for record in (Minted, Change, Ask, Hits)}


@dataclass(slots=True)
class History:
    """All records of a run, by type."""

    minted: list[Minted] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    hits: list[Hits] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[Record]) -> History:
        history = cls()
        lists: dict[type[Record], list[Any]] = {
            Minted: history.minted,
            Change: history.changes,
            Ask: history.asks,
            Hits: history.hits,
        }
        for record in records:
            lists[type(record)].append(record)
        return history


class Recorder:
    """Writes records to a file, one a line."""

    def __init__(self, path: Path) -> None:
        # A line at a time: whoever starts this may read it meanwhile.
        self._file = path.open("w", buffering=1)

    def write(self, record: Record) -> None:
        self._file.write(json.dumps([type(record).__name__, asdict(record)]) + "\n")

    def close(self) -> None:
        self._file.close()


def last_hits(path: Path, offset: int) -> int:
    """The last number of hits in the records at *path* from *offset* bytes on; 0 if there is none."""
    with path.open() as file:
        file.seek(offset)
        lines = [line for line in file if line.endswith("\n")]
    numbers = [record.number for record in map(_read, lines) if isinstance(record, Hits)]
    return numbers[-1] if numbers else 0


def read(paths: Iterable[Path]) -> History:
    """The records of all these files."""
    return History.of(_read(line) for path in paths for line in path.read_text().splitlines())


def _read(line: str) -> Record:
    name, fields = json.loads(line)
    if name == "Change":
        fields["kind"] = Kind(fields["kind"])
    if name == "Ask":
        fields["outcome"] = Outcome(fields["outcome"])
    record: Record = _TYPES[name](**fields)
    return record
