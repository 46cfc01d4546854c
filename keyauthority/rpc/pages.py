"""Pages of lists (AIP-158): sizes, and tokens that nobody can read, forge or use elsewhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.domain.ports import Keyring
from keyauthority.domain.repositories import Cursor

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 1_000

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked for: *size* records after *after*, and one more to see whether there are."""

    size: int
    after: Any
    context: bytes

    @property
    def limit(self) -> int:
        """How many records to read."""
        return self.size + 1

    @property
    def cursor(self) -> Cursor | None:
        """Where the page begins, for records that are listed by their create time."""
        return (
            None if self.after is None else (datetime.fromisoformat(self.after[0]), self.after[1])
        )


class Pages:
    """Reads and writes the paging fields of list requests and responses."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def asked(self, request: Any, actor: Actor) -> Page:
        """The page that *request* of *actor* asks for; raises `FIELD_INVALID`, `PAGE_TOKEN_INVALID`."""
        if request.page_size < 0:
            raise invalid("page_size", "is negative")
        size = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE)
        context = _context(request, actor)
        return Page(size, self._open(request.page_token, context), context)

    def cut(
        self, page: Page, records: Sequence[Record], mark: Callable[[Record], object]
    ) -> tuple[Sequence[Record], str]:
        """The records of the page, and the token for the next one: empty if there is none."""
        if len(records) <= page.size:
            return records, ""
        shown = records[: page.size]
        marked = json.dumps(mark(shown[-1])).encode()
        # The oldest pepper is the one that every replica holds while another one is being added.
        sealed = self._keyring.seal(self._keyring.versions()[0], marked, page.context)
        return shown, base64.urlsafe_b64encode(sealed).decode()

    def _open(self, token: str, context: bytes) -> Any:
        if not token:
            return None
        try:
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        mark = self._keyring.unseal(sealed, context)
        if mark is None:
            raise KeyAuthorityError(
                Reason.PAGE_TOKEN_INVALID,
                "the page_token is not of this listing: start again without it",
            )
        return json.loads(mark)


def by_create_time(record: Any) -> tuple[str, str]:
    """Where a page of records that are listed by their create time ends."""
    return record.create_time.isoformat(), record.id


def _context(request: Message, actor: Actor) -> bytes:
    # A token holds for the same question by the same caller, whatever the page's size.
    question = type(request)()
    question.CopyFrom(request)
    question.ClearField("page_size")
    question.ClearField("page_token")
    asked = question.SerializeToString(deterministic=True)
    caller = actor.caller.id.encode()
    return hashlib.sha256(type(request).__name__.encode() + b"\0" + caller + b"\0" + asked).digest()
