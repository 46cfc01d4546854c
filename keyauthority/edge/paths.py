"""Paths: which go on to the upstream, and what they may mean there.

Servers decode a path once, twice or segment by segment, ignore case, cut it at what they take for
the end or for parameters, and drop dots and spaces. A rule that is compared with one reading is
evaded by the others, so paths and rules are compared in a form in which all readings are equal.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from keyauthority.domain.secrets import SECRET_MARK, secret_within
from keyauthority.edge.envelope import Refusal

_ROOT = "/v1"
_has_encoded_backslash = re.compile("%5c", re.IGNORECASE).search
_ROUNDS: Final = 8
"""Times that a path may have been encoded."""

_is_plain = re.compile(r"(?:/[a-z0-9_-]+)*/?").fullmatch
_sixteen_bits = re.compile("%u([0-9a-f]{4})", re.IGNORECASE)
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_split = re.compile(r"[/\\]+").split
_split_at_slashes = re.compile("/|%2f", re.IGNORECASE).split
_parameters = re.compile("[;?#]").split
_words = re.compile(r"[\s+]+").split
_is_extension = re.compile("(?:[a-z].*)?").fullmatch

# Some code pages turn these into separators.
_SEPARATORS: Final = str.maketrans("\u2044\u2215\u2216\u00a5\u20a9", "//\\\\\\")
_INVISIBLE: Final = frozenset({"Mn", "Me", "Cf"})


def split_target(target: str) -> tuple[str, str]:
    """Returns the path and the query string (without the `?`) of a request target."""
    path, _, query = target.partition("?")
    return path, query


def holds_secret(target: str) -> bool:
    """Returns whether *target* holds a key's secret or a token, also percent-encoded.

    There it would end in the logs of every server on the way.
    """
    # Few targets hold the mark or a percent sign, so the search is rare.
    return (SECRET_MARK in target or "%" in target) and secret_within(target) is not None


def check_path(path: str) -> Refusal | None:
    """Returns why *path*, a raw request path, is not forwarded; None if it may be.

    `BAD_REQUEST` refuses whatever two parsers could read as two different paths: forms other than
    RFC 9112's origin-form, a fragment, dot segments (also percent-encoded), empty segments,
    backslashes and encoded backslashes. `NOT_FOUND` refuses a path outside `/v1`.

    An encoded slash (`%2F`, as in the name of a model) goes on as it is, whether the upstream takes it
    for a letter or for a slash, since no rule may depend on that. It begins and ends a dot segment, and
    is no slash of `/v1/`. A scope rule counts it as both, and with billing a path whose two readings have
    different prices or are different endpoints is refused (`metering.going_by`).
    """
    if not is_unambiguous(path):
        return Refusal.BAD_REQUEST
    if path == _ROOT or path.startswith(_ROOT + "/"):
        return None
    return Refusal.NOT_FOUND


def is_unambiguous(path: str) -> bool:
    """Returns whether every parser reads *path*, a raw request path, the same way.

    They may differ about an encoded slash alone, and none of them is led elsewhere by it.
    """
    if not path.startswith("/") or not path.isascii():
        return False
    if "//" in path or "\\" in path or "#" in path:
        return False
    if "%5" in path and _has_encoded_backslash(path):
        return False
    return not _has_dot_segment(path)


def _has_dot_segment(path: str) -> bool:
    # Most paths hold neither spelling of a leading dot, so the split is rare.
    if "/." not in path and "%2" not in path:
        return False
    return any(map(_is_dot_segment, _split_at_slashes(path)))


def _is_dot_segment(segment: str) -> bool:
    # Some servers drop ";parameters" before they resolve dots.
    return unquote(segment).partition(";")[0] in (".", "..")


def canonical(path: str) -> tuple[str, ...] | None:
    """Returns the segments of *path*, a raw path, in the form that stands for all its readings.

    None if the readings have no common form: with dot segments, control characters or bytes that
    are no UTF-8, however often encoded.
    """
    # Clients choose paths, and may not fill the memory.
    return _canonical_again(path) if len(path) <= _LONGEST_REMEMBERED else _canonical(path)


def _canonical(path: str) -> tuple[str, ...] | None:
    if _is_plain(path):
        return tuple(filter(None, path.split("/")))
    text = _decoded(path)
    if text is None or _has_control(text):
        return None
    segments = [_parameters(segment, 1)[0] for segment in _split(text)]
    if any(map(_is_dots, segments)):
        return None
    return tuple(filter(None, map(_without_extensions, segments)))


_LONGEST_REMEMBERED: Final = 256
_canonical_again: Final = lru_cache(1024)(_canonical)


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
    # Some servers drop spaces around the dots first.
    return "." in segment and not "".join(_words(segment)).strip(".")


def _without_extensions(segment: str) -> str:
    # Servers read it up to a space, and without dots and extensions at its end.
    parts = (_words(segment.lstrip(" +"), 1)[0]).split(".")
    # ".name" is a name, not an extension.
    first = 1 if parts[0] else 2
    while len(parts) > first and _is_extension(parts[-1]):
        parts.pop()
    return ".".join(parts)
