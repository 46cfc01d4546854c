"""Where the books are: in a SQLite file, or in a PostgreSQL database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

_is_url: Final = re.compile(r"[A-Za-z0-9+]{2,}:/").match
_is_postgres: Final = re.compile(r"postgres(ql)?(\+asyncpg)?://").match


class PostgresUrl:
    """The URL of a PostgreSQL database, which may hold a password: it is never shown whole."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises ValueError, which doesn't repeat *text*, for what is no such URL."""
        if not _is_postgres(text):
            raise ValueError("must be the path of a SQLite file or a postgresql:// URL")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("must be a URL like postgresql://USER@HOST:PORT/NAME") from None
        # A second one, or one further on: a part of the password would be taken for the host.
        if text.count("@") > parts.netloc.count("@") or parts.netloc.count("@") > 1:
            raise ValueError("must have @ / ? # in its user and password as %40 %2F %3F %23")
        # SQLAlchemy's way of naming the driver, which the driver doesn't know.
        self._text = text.replace("+asyncpg", "", 1)

    def reveal(self) -> str:
        """The URL with its password, for the driver."""
        return self._text

    def __str__(self) -> str:
        parts = urlsplit(self._text)
        user, _, hosts = parts.netloc.rpartition("@")
        hosts = hosts or ",".join(parse_qs(parts.query).get("host", ()))
        return f"postgresql://{user.partition(':')[0]}{'@' if user else ''}{hosts}{parts.path}"

    def __repr__(self) -> str:
        return f"PostgresUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PostgresUrl) and other.reveal() == self._text

    def __hash__(self) -> int:
        return hash(self._text)


Location = Path | PostgresUrl


def parse_location(text: str) -> Location:
    """A path, or a PostgreSQL URL. Raises ValueError, which doesn't repeat *text*, for other URLs."""
    return PostgresUrl(text) if _is_url(text) else Path(text)
