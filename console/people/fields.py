"""Checks of what people type."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zoneinfo import ZoneInfo

from confusable_homoglyphs import confusables

from console.people.errors import FieldInvalid

EMAIL_LENGTH: Final = 254
NAME_LENGTH: Final = 100

# Controls, formats (which hide, or reverse the text beside a name), surrogates, separators of lines
# and paragraphs.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# The two formats that names need: they join letters and emoji, or keep them apart.
_JOINERS: Final = frozenset("\u200c\u200d")
# Letters and marks without a shape: Unicode's Default_Ignorable_Code_Point among them.
_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
# Letters, numbers, punctuation and symbols: a name needs one of them.
_VISIBLE: Final = frozenset("LNPS")


def parse_email(text: str) -> str:
    """Returns the address as it is stored. Raises `FieldInvalid`."""
    text = text.strip()
    user, _, domain = text.partition("@")
    # The authority's audit accepts only printable names of persons.
    printable = text.isprintable() and not any(map(_is_gap, text))
    if not user or not domain or "@" in domain or not printable:
        raise FieldInvalid("email", "Enter an e-mail address, such as name@example.com.")
    if len(text) > EMAIL_LENGTH:
        raise FieldInvalid("email", f"An e-mail address has at most {EMAIL_LENGTH} characters.")
    if any(map(_passes_for_ascii, re.split(r"[@.+_-]", text))):
        raise FieldInvalid("email", "This address holds a letter that could be taken for another.")
    # One spelling of each letter: with a separate accent the address would look the same and differ.
    return unicodedata.normalize("NFC", text)


def email_key(text: str) -> str:
    """Returns what two addresses are compared by: empty, as nobody's is, for an invalid one."""
    try:
        return parse_email(text).casefold()
    except FieldInvalid:
        return ""


def parse_name(text: str) -> str:
    """Returns the name as it is stored. Raises `FieldInvalid`."""
    text = text.strip()
    if not text:
        raise FieldInvalid("name", "Enter a name.")
    if len(text) > NAME_LENGTH:
        raise FieldInvalid("name", f"A name has at most {NAME_LENGTH} characters.")
    if any(map(_is_invisible, text)):
        raise FieldInvalid("name", "A name holds no invisible characters.")
    if not any(unicodedata.category(character)[0] in _VISIBLE for character in text):
        raise FieldInvalid("name", "Enter a name that can be seen.")
    return text


def parse_time_zone(text: str) -> str:
    """Returns the IANA name of a time zone, or "". Raises `FieldInvalid`."""
    try:
        return ZoneInfo(text).key if text else ""
    except (KeyError, ValueError, OSError):
        raise FieldInvalid("time_zone", "Choose a time zone from the list.") from None


def clip(text: str, length: int) -> str:
    """Returns what a browser says of itself, fit to be stored and shown."""
    return "".join(character for character in text if not _is_invisible(character))[:length]


def _is_invisible(character: str) -> bool:
    if character in _BLANK:
        return True
    return unicodedata.category(character) in _INVISIBLE and character not in _JOINERS


def _is_gap(character: str) -> bool:
    return character.isspace() or _is_invisible(character)


def _passes_for_ascii(label: str) -> bool:
    # Whether a reader, or a comparison without case, could take the label for an ASCII one: then
    # two mailboxes would be one account, or look like one.
    foreign = [character for character in label if not character.isascii()]
    return bool(foreign) and all(map(_looks_ascii, foreign))


def _looks_ascii(character: str) -> bool:
    if unicodedata.normalize("NFKC", character).casefold().isascii():
        return True
    matches = confusables.is_confusable(character, greedy=True, preferred_aliases=[]) or []
    return any(alike["c"].isascii() for match in matches for alike in match["homoglyphs"])
