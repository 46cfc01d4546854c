"""The secrets of keys and the tokens of callers, and the ids of their records.

A secret is a prefix, the 16 base62 characters of its record's id, 43 base62 characters from the
operating system (256 bits) and 6 base62 digits of the CRC-32 of all that precedes. Anybody can
compute the checksum: its use is to refuse typing errors and noise without a look-up, and to let
scanners find secrets without false alarms.

A secret minted elsewhere and imported is *foreign*: it names no record and is found by its digest.
"""

from __future__ import annotations

import re
import secrets as entropy
import zlib
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = bytes(ord(ALPHABET[byte % 62]) for byte in range(256))
_SURPLUS: Final = bytes(range(256 - 256 % 62, 256))
KEY_PREFIX: Final = "sk-optk-"
TOKEN_PREFIX: Final = "optk-svc-"
SECRET_MARK: Final = "optk-"
"""A part of every key's secret and every caller's token."""
ID_LENGTH: Final = 16
RANDOM_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6
BODY_LENGTH: Final = ID_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH

FOREIGN_LENGTHS: Final = range(16, 257)
HINTED: Final = 4
"""How many characters of a secret a hint has at either end."""

_within: Final = re.compile(
    rf"((?:{KEY_PREFIX}|{TOKEN_PREFIX})[0-9A-Za-z]{{{HINTED}}})[0-9A-Za-z]{{16,}}"
)
REDACTED: Final = "[redacted]"

# More characters than a hint has, so that hints stay readable.
_redacted: Final = re.compile(rf"(?:{KEY_PREFIX}|{TOKEN_PREFIX})[0-9A-Za-z_\-]{{{HINTED + 1},}}")
_word: Final = re.compile(r"[0-9A-Za-z_%\-]+")
_encoded_percent: Final = re.compile("%(?:25)+")
_encoded: Final = re.compile("(?:%[0-9A-Fa-f]{2})+")
_DECODINGS: Final = 8
_is_base62 = re.compile(r"[0-9A-Za-z]+").fullmatch
_is_visible = re.compile(r"[!-~]+").fullmatch


def secret_within(text: str) -> re.Match[str] | None:
    """Finds a key's secret or a caller's token in *text*, percent-encoded or not.

    It matches a prefix with more characters than a hint has. Group 1 is the beginning of the hint. No
    part of the secret precedes the position of the match in *text*.
    """
    match = _within.search(text)
    return match if match or "%" not in text else _within.search(percent_decoded(text))


def redact(text: str) -> str:
    """Returns *text* with every key's secret and caller's token replaced by `REDACTED`.

    Of a percent-encoded secret the whole word is replaced.
    """
    redacted = _redacted.sub(REDACTED, text)
    return _word.sub(_redact_encoded, redacted) if "%" in redacted else redacted


def _redact_encoded(word: re.Match[str]) -> str:
    hidden = "%" in word[0] and _redacted.search(percent_decoded(word[0])) is not None
    return REDACTED if hidden else word[0]


def percent_decoded(text: str) -> str:
    """Returns *text* percent-decoded until it stays the same, eight times at most."""
    for _ in range(_DECODINGS):
        # All of "%2525…" in one round, so that no text takes many.
        decoded = _encoded.sub(_decoded, _encoded_percent.sub("%", text))
        if decoded == text:
            break
        text = decoded
    return text


def _decoded(escapes: re.Match[str]) -> str:
    # Much faster than `urllib.parse.unquote`; every request's path comes here.
    return bytes.fromhex(escapes[0].replace("%", "")).decode(errors="replace")


class Secret:
    """A string that only `reveal` shows: not `repr`, not a pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the string."""
        return self._text

    @property
    def hint(self) -> str:
        """A few characters by which people recognise a minted secret: `sk-optk-ab12…wxyz`."""
        head = len(self._text) - BODY_LENGTH + HINTED
        return f"{self._text[:head]}…{self._text[-HINTED:]}"

    @property
    def foreign_hint(self) -> str:
        """The same for a foreign secret, at most a quarter of it: `ab…yz`."""
        length = min(HINTED, len(self._text) // 8)
        return f"{self._text[:length]}…{self._text[-length:]}"

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not to be pickled")


def new_id(kind: str) -> str:
    """Returns a fresh id: *kind* (`key`, `ws` or `caller`), `_` and 16 random base62 characters."""
    return f"{kind}_{_random(ID_LENGTH)}"


def mint(record_id: str, prefix: str = KEY_PREFIX) -> Secret:
    """Returns a fresh secret for the record *record_id*."""
    stem = prefix + record_id.rpartition("_")[2] + _random(RANDOM_LENGTH)
    return Secret(stem + checksum(stem))


def record_id(text: str, kind: str = "key", prefix: str = KEY_PREFIX) -> str | None:
    """Returns the id of the record that *text* names; None if *text* is malformed."""
    if len(text) != len(prefix) + BODY_LENGTH or not text.startswith(prefix):
        return None
    stem = text[:-CHECKSUM_LENGTH]
    if not _is_base62(text, len(prefix)) or checksum(stem) != text[-CHECKSUM_LENGTH:]:
        return None
    return f"{kind}_{text[len(prefix) : len(prefix) + ID_LENGTH]}"


def is_foreign(text: str) -> bool:
    """Returns whether *text* may be foreign: 16 to 256 visible ASCII characters without our prefix."""
    return (
        len(text) in FOREIGN_LENGTHS
        and not text.startswith((KEY_PREFIX, TOKEN_PREFIX))
        and _is_visible(text) is not None
    )


def checksum(stem: str) -> str:
    """Returns the CRC-32 of *stem* (ASCII) as 6 base62 digits, big-endian, zero-padded."""
    number, digits = zlib.crc32(stem.encode("ascii")), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _random(length: int) -> str:
    # Bytes beyond the last whole multiple of 62 are dropped: so each digit is equally likely.
    digits = b""
    while len(digits) < length:
        digits += entropy.token_bytes(2 * length).translate(_DIGITS, _SURPLUS)
    return digits[:length].decode("ascii")
