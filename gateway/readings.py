"""What a path may mean to an upstream: one form that stands for all its readings.

Servers decode a path once, twice or segment by segment, ignore case, cut it at what they take for
the end or for parameters, and drop dots and spaces. A rule that is compared with one reading is
passed by the others, so paths and rules are compared in the form in which all of these are equal.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

_ROUNDS: Final = 8
"""How often a path may have been encoded."""

_is_plain = re.compile(r"(?:/[a-z0-9_-]+)*/?").fullmatch
_sixteen_bits = re.compile("%u([0-9a-f]{4})", re.IGNORECASE)
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_split = re.compile(r"[/\\]+").split
_parameters = re.compile("[;?#]").split
_words = re.compile(r"[\s+]+").split
_is_extension = re.compile("(?:[a-z].*)?").fullmatch
# What some code pages turn into separators.
_SEPARATORS: Final = str.maketrans("\u2044\u2215\u2216\u00a5\u20a9", "//\\\\\\")
_INVISIBLE: Final = frozenset({"Mn", "Me", "Cf"})


def canonical(path: str) -> tuple[str, ...] | None:
    """Return the segments of *path*, a raw path, in the form that stands for all its readings.

    Returns:
        None if the readings have no common form: dot segments, control characters or bytes that
        are no UTF-8, however often encoded.
    """
    if _is_plain(path):
        return tuple(filter(None, path.split("/")))
    text = _decoded(path)
    if text is None or _has_control(text):
        return None
    segments = [_parameters(segment, 1)[0] for segment in _split(text)]
    if any(map(_is_dots, segments)):
        return None
    return tuple(filter(None, map(_meant, segments)))


def _decoded(text: str) -> str | None:
    for _ in range(_ROUNDS):
        try:
            decoded = _folded(unquote_to_bytes(_sixteen_bits.sub(_character, text)).decode())
        except UnicodeError:
            return None
        if decoded == text:
            return text
        text = decoded
    return None


def _folded(text: str) -> str:
    # Letters of any width, case and decoration; upper case first, for letters that only it equals.
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.translate(_SEPARATORS))
        text = "".join(c for c in decomposed if unicodedata.category(c) not in _INVISIBLE)
    return text.upper().casefold()


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _is_dots(segment: str) -> bool:
    # Also with spaces around them, which some drop before they look.
    return "." in segment and not "".join(_words(segment)).strip(".")


def _meant(segment: str) -> str:
    # Up to a space, and without dots and extensions at its end.
    parts = (_words(segment.lstrip(" +"), 1)[0]).split(".")
    # What begins with a dot is a name, not an extension.
    first = 1 if parts[0] else 2
    while len(parts) > first and _is_extension(parts[-1]):
        parts.pop()
    return ".".join(parts)
