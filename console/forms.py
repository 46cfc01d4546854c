"""Forms: the values that were typed, and the errors beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from keyauthority.client import secret_within

_MOST_FIELDS: Final = 1_100
"""More than the boxes of a thousand keys."""

_TYPE: Final = "application/x-www-form-urlencoded"


def without_secret(text: str) -> str:
    """Returns *text*; if it has a secret, the beginning of the secret, by which its key is found."""
    match = secret_within(text)
    return match[1] if match else text


class BadFormError(Exception):
    """The body is no form of the console: too large, too slow, of another type, or not UTF-8."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(slots=True)
class Form:
    """The values of a form as typed, `errors` by field, and a `problem` with all of it."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    def keep_secrets_out(self) -> None:
        """Removes secrets that were pasted, with an error: the values are stored."""
        for name, value in self.values.items():
            if match := secret_within(value):
                self.values[name] = value[: match.start()].rstrip()
                self.errors[name] = (
                    "This contains a key’s secret. Leave it out: what you type here is stored."
                )

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it so far."""
        return not self.errors and self.problem is None


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields that a browser sent. One may come several times."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Returns a field's value, stripped; empty if it is missing."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """Returns a field's value as typed: a password may begin with a space."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Returns the values of a field that comes once for each ticked box."""
        return [value for key, value in self.pairs if key == name]

    def form(self, names: Iterable[str]) -> Form:
        """Returns the form of the fields *names*."""
        return Form({name: self.get(name) for name in names})


async def read_fields(request: web.BaseRequest, most_bytes: int, seconds: float) -> Fields:
    """Returns the form in the body of *request*. Raises `BadFormError`."""
    if request.content_type != _TYPE:
        raise BadFormError(415, f"A form must be sent as {_TYPE}.")
    if (request.content_length or 0) > most_bytes:
        raise BadFormError(413, "This form is too large.")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most_bytes:
                    raise BadFormError(413, "This form is too large.")
    except TimeoutError:
        raise BadFormError(408, "The form arrived too slowly.") from None
    except (ConnectionError, web.RequestPayloadError):
        raise BadFormError(400, "The form did not arrive completely.") from None
    return parse_fields(bytes(body))


def parse_fields(body: bytes) -> Fields:
    """Returns the fields of an encoded form. Raises `BadFormError`."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise BadFormError(400, "This is no form of this console.") from None
    # Browsers send a line break as two characters, and count it as one.
    return Fields(tuple((name, value.replace("\r\n", "\n")) for name, value in pairs))
