"""Forms: what was typed, and what is wrong with it, field by field."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from keyauthority.client import secret_within

MOST_FIELDS: Final = 1_100
"""More than the boxes beside a thousand keys."""

_TYPE: Final = "application/x-www-form-urlencoded"


def without_secret(text: str) -> str:
    """*text*; if there is a secret in it, how that one's hint begins, by which its key is found."""
    found = secret_within(text)
    return found[1] if found else text


class BadFormError(Exception):
    """The body is no form of ours: too large, too slow, of another type, or not UTF-8."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(slots=True)
class Form:
    """The fields of a form as typed; `errors` by field, and a `problem` with the whole of it."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    def keep_secrets_out(self) -> None:
        """Finds fault with a field that a secret was pasted into: what is typed here is kept."""
        for name, value in self.values.items():
            if found := secret_within(value):
                self.values[name] = value[: found.start()].rstrip()
                self.errors[name] = "That holds a secret, which has no place here. Leave it out."

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it so far."""
        return not self.errors and self.problem is None


@dataclass(frozen=True, slots=True)
class Fields:
    """What a browser sent as a form. A field may come several times."""

    pairs: tuple[tuple[str, str], ...] = ()

    def one(self, name: str) -> str:
        """The field's value, stripped; empty if it wasn't sent."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """The field's value as typed: a password may begin with a space."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field that comes once for each box that is ticked."""
        return [value for key, value in self.pairs if key == name]

    def form(self, names: Iterable[str]) -> Form:
        """The fields of *names*, to be judged and shown again."""
        return Form({name: self.one(name) for name in names})


async def read_fields(request: web.BaseRequest, most_bytes: int, seconds: float) -> Fields:
    """The form in the body of *request*. Raises `BadFormError`."""
    if request.content_type != _TYPE:
        raise BadFormError(415, "Forms are sent as " + _TYPE + ".")
    if (request.content_length or 0) > most_bytes:
        raise BadFormError(413, "That is more than any form here holds.")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most_bytes:
                    raise BadFormError(413, "That is more than any form here holds.")
    except TimeoutError:
        raise BadFormError(408, "The form arrived too slowly.") from None
    except (ConnectionError, web.RequestPayloadError):
        raise BadFormError(400, "The form did not arrive whole.") from None
    return parse_fields(bytes(body))


def parse_fields(body: bytes) -> Fields:
    """The fields of an encoded form. Raises `BadFormError`."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise BadFormError(400, "That is no form of this console.") from None
    # Browsers send each end of a line as two characters, and count it as one.
    return Fields(tuple((name, value.replace("\r\n", "\n")) for name, value in pairs))
