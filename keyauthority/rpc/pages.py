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
    """A page of a list: *size* records after the mark *after*, in the list of *context*."""

    size: int
    after: Any
    context: bytes

    @property
    def limit(self) -> int:
        """How many records to read: the page's, and one more that tells whether there are more."""
        return self.size + 1

    @property
    def cursor(self) -> Cursor | None:
        """Where the page begins, in a list by create time."""
        if self.after is None:
            return None
        time, record_id = self.after
        return datetime.fromisoformat(time), record_id


def _create_time(record: Any) -> tuple[str, str]:
    return record.create_time.isoformat(), record.id


class Pages:
    """Reads and writes the paging fields of list requests and responses."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def of(self, request: Any, actor: Actor) -> Page:
        """Returns the page that *request* is about; raises `FIELD_INVALID`, `PAGE_TOKEN_INVALID`."""
        if request.page_size < 0:
            raise invalid("page_size", "is negative")
        size = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE)
        context = _context(request, actor)
        return Page(size, self._open(request.page_token, context), context)

    def cut(
        self,
        page: Page,
        records: Sequence[Record],
        mark_of: Callable[[Record], object] = _create_time,
    ) -> tuple[Sequence[Record], str]:
        """Returns the records of *page*, and the token of the next one: empty if there is none.

        *mark_of* returns where in its list a record stands; the default is for lists by create time.
        """
        if len(records) <= page.size:
            return records, ""
        records = records[: page.size]
        mark = json.dumps(mark_of(records[-1])).encode()
        # While a pepper is being added, the oldest one is what every replica holds.
        sealed = self._keyring.seal(self._keyring.versions()[0], mark, page.context)
        return records, base64.urlsafe_b64encode(sealed).decode()

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


def _context(request: Message, actor: Actor) -> bytes:
    # A token holds for the same question by the same caller, whatever the page's size.
    question = type(request)()
    question.CopyFrom(request)
    question.ClearField("page_size")
    question.ClearField("page_token")
    body = question.SerializeToString(deterministic=True)
    name, caller = type(request).__name__.encode(), actor.caller.id.encode()
    return hashlib.sha256(b"\0".join((name, caller, body))).digest()
