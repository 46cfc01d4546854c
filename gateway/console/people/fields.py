"""What people may type."""

from __future__ import annotations

import unicodedata
from typing import Final
from zoneinfo import ZoneInfo

from gateway.console.people.errors import FieldInvalid

EMAIL_LENGTH: Final = 254
NAME_LENGTH: Final = 100

# Controls, halves of characters, separators of lines and of paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They would turn around the text beside a name.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def email(text: str) -> str:
    """The address as it is kept. Raises `FieldInvalid`."""
    text = text.strip()
    before, _, after = text.partition("@")
    # Printable, since the authority's audit takes no other name for a person.
    sound = text.isprintable() and not any(map(_is_gap, text))
    if not before or not after or "@" in after or not sound:
        raise FieldInvalid("email", "Enter an e-mail address, such as name@example.com.")
    if len(text) > EMAIL_LENGTH:
        raise FieldInvalid("email", f"An e-mail address has at most {EMAIL_LENGTH} characters.")
    if any(map(_passes_for_ascii, text)):
        raise FieldInvalid("email", "This address holds a letter that could be taken for another.")
    return text


def email_key(text: str) -> str:
    """What two addresses are compared by; of an address that nobody can have, what nobody has."""
    try:
        return email(text).casefold()
    except FieldInvalid:
        return ""


def name(text: str, field: str = "name") -> str:
    """The name as it is kept. Raises `FieldInvalid`."""
    text = text.strip()
    if not text:
        raise FieldInvalid(field, "Enter a name.")
    if len(text) > NAME_LENGTH:
        raise FieldInvalid(field, f"A name has at most {NAME_LENGTH} characters.")
    if any(map(_is_unseen, text)):
        raise FieldInvalid(field, "A name holds no invisible control characters.")
    return text


def time_zone(text: str) -> str:
    """The IANA name of a time zone, or nothing. Raises `FieldInvalid`."""
    try:
        return ZoneInfo(text).key if text else ""
    except (KeyError, ValueError, OSError):
        raise FieldInvalid("time_zone", "Choose a time zone from the list.") from None


def clipped(text: str, length: int) -> str:
    """What a browser says of itself, made fit to keep and to show."""
    return "".join(character for character in text if not _is_unseen(character))[:length]


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or character in _TURNING


def _is_gap(character: str) -> bool:
    return character.isspace() or _is_unseen(character)


def _passes_for_ascii(character: str) -> bool:
    # A long s and an s are the same without regard to case: two mailboxes would be one account.
    return not character.isascii() and character.casefold().isascii()
