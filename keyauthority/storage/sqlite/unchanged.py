"""Reads whose answer stands until the next change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Select

from keyauthority.storage.sqlite.database import SqliteDatabase

Question: TypeAlias = tuple[Any, ...]
"""A query and the values of its parameters."""
Read: TypeAlias = "asyncio.Task[Sequence[Any]]"

MOST: Final = 100
"""Answers that are kept: verifiers choose what they claim, and may not fill the memory."""


class Unchanged:
    """Asks the database once for what many ask between two changes, such as all verifiers after one.

    This process alone writes the file. So until its next transaction begins, an answer is that of the
    present state, and also one that is still on its way.
    """

    def __init__(self, database: SqliteDatabase, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._changes = -1
        self._reads: dict[Question, Read] = {}

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        """Returns the rows of *query* in the state at this call, or a later one.

        No change has begun since they were read. If another asked before, and its read waits for a
        program that has the file locked, the wait ends when that one's patience does.
        """
        if self._changes != self._database.changes:
            self._changes, self._reads = self._database.changes, {}
        reads, question = self._reads, (query, *values.values())
        read = reads.get(question)
        if read is None:
            if len(reads) >= self._most:
                del reads[next(iter(reads))]
            read = reads[question] = asyncio.create_task(
                self._database.read_in_turn(query, **values)
            )
            read.add_done_callback(lambda done: _forget_failed(reads, question, done))
        # Whoever is cancelled takes the answer from nobody else.
        return read.result() if read.done() else await asyncio.shield(read)


def _forget_failed(reads: dict[Question, Read], question: Question, read: Read) -> None:
    failed = read.cancelled() or read.exception() is not None
    if failed and reads.get(question) is read:
        del reads[question]
