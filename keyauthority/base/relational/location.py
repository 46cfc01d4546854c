"""The location of the books: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

_is_url: Final = re.compile(r"[A-Za-z0-9+]{2,}:/").match
_is_postgres: Final = re.compile(r"postgres(ql)?(\+asyncpg)?://").match
_is_host: Final = re.compile(
    r"(?:\[(?P<address>[^\]]+)\]|(?P<name>[^:]*))(?::(?P<port>[^:]*))?"
).fullmatch


class PostgresUrl:
    """The URL of a PostgreSQL database. It may hold a password, so that `str` leaves that out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises ValueError, which doesn't repeat *text*, for anything but such a URL."""
        if not _is_postgres(text):
            raise ValueError("must be the path of a SQLite file or a postgresql:// URL")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("must be a URL like postgresql://USER@HOST:PORT/NAME") from None
        # With a second @, or a later one, a part of the password would be read as the host.
        if text.count("@") > parts.netloc.count("@") or parts.netloc.count("@") > 1:
            raise ValueError("must have @ / ? # in its user and password as %40 %2F %3F %23")
        # SQLAlchemy names the driver like this; the driver doesn't know it.
        self._text = text.replace("+asyncpg", "", 1)

    def reveal(self) -> str:
        """Returns the URL with its password, for the driver."""
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


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a URL. `port` is None if the URL leaves it to the environment."""

    name: str
    port: int | None


def hosts_in(url: PostgresUrl, environment: Mapping[str, str]) -> list[Host]:
    """Returns the hosts of *url*, or of *environment* if it has none, as libpq reads them.

    The list is empty if neither names several. Raises ValueError, which doesn't repeat *url*.
    """
    parts = urlsplit(url.reveal())
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    named = parts.netloc.rpartition("@")[2]
    if named:
        hosts = [_host(unquote(name)) for name in named.split(",")]
    else:
        names = query.get("host") or environment.get("PGHOST", "")
        ports = query.get("port") or environment.get("PGPORT", "")
        hosts = _paired(names.split(","), ports.split(",") if ports else [])
    return hosts if len(hosts) > 1 else []


def _host(text: str) -> Host:
    parts = _is_host(text)
    if parts is None:
        raise ValueError("must name hosts as NAME, NAME:PORT, ADDRESS or [ADDRESS]:PORT")
    return Host(parts["address"] or parts["name"], _port(parts["port"] or ""))


def _paired(names: list[str], ports: list[str]) -> list[Host]:
    # A single port counts for all hosts.
    if len(ports) == 1:
        ports *= len(names)
    if ports and len(ports) != len(names):
        raise ValueError("must name one port, or as many as hosts")
    return [
        Host(name, _port(port) if port else None)
        for name, port in zip_longest(names, ports, fillvalue="")
    ]


def _port(text: str) -> int | None:
    if text and not text.isdecimal():
        raise ValueError("must have a number for each port")
    return int(text) if text else None


Location = Path | PostgresUrl


def parse_location(text: str) -> Location:
    """Returns a path or a PostgreSQL URL. Raises ValueError, which doesn't repeat *text*."""
    return PostgresUrl(text) if _is_url(text) else Path(text)
