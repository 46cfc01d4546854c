"""What people may type."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zoneinfo import ZoneInfo

from confusable_homoglyphs import confusables

from console.people.errors import FieldInvalid

EMAIL_LENGTH: Final = 254
NAME_LENGTH: Final = 100

# Controls, formats (they turn around the text beside a name, or hide in it), halves of characters,
# separators of lines and of paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Formats that letters and emoji are joined with, and not joined.
_JOINING: Final = frozenset("\u200c\u200d")
# Letters and marks that show nothing: Unicode's Default_Ignorable_Code_Point among them.
_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
# What a name can be read by: letters, numbers, punctuation, symbols.
_SEEN: Final = frozenset("LNPS")


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
    if any(map(_passes_for_ascii, _labels(text))):
        raise FieldInvalid("email", "This address holds a letter that could be taken for another.")
    # One spelling of each letter: with its mark apart it would look the same, and be another's.
    return unicodedata.normalize("NFC", text)


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
        raise FieldInvalid(field, "A name holds no invisible characters.")
    if not any(unicodedata.category(character)[0] in _SEEN for character in text):
        raise FieldInvalid(field, "Enter a name that can be seen.")
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
    if character in _BLANK:
        return True
    return unicodedata.category(character) in _UNSEEN and character not in _JOINING


def _is_gap(character: str) -> bool:
    return character.isspace() or _is_unseen(character)


def _passes_for_ascii(label: str) -> bool:
    # Whether a reader, or a comparison without regard to case, could take it for an ASCII one: then
    # two mailboxes would be one account, or look as if they were.
    foreign = [character for character in label if not character.isascii()]
    return bool(foreign) and all(map(_looks_ascii, foreign))


def _looks_ascii(character: str) -> bool:
    if unicodedata.normalize("NFKC", character).casefold().isascii():
        return True
    found = confusables.is_confusable(character, greedy=True, preferred_aliases=[]) or []
    return any(alike["c"].isascii() for one in found for alike in one["homoglyphs"])


def _labels(address: str) -> list[str]:
    return re.split(r"[@.+_-]", address)
