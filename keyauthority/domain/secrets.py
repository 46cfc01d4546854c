"""The strings that callers present, and the ids of the records behind them.

A secret is a prefix, the 16 base62 characters of its record's id, 43 base62 characters from the
operating system (256 bits) and 6 base62 digits of the CRC-32 of all that precedes. The checksum is
no protection, anybody can compute it: it lets typing errors and noise be refused without a look-up,
and lets scanners find secrets without false alarms.

A secret minted elsewhere and imported is *foreign*: it names no record, so its digest is looked for.
"""

from __future__ import annotations

import re
import secrets as entropy
import zlib
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_PREFIX: Final = "sk-optk-"
TOKEN_PREFIX: Final = "optk-svc-"  # a prefix, not a token
SECRET_MARK: Final = "optk-"
"""Stands in every key's secret and every caller's token."""
ID_LENGTH: Final = 16
RANDOM_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6
BODY_LENGTH: Final = ID_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH

FOREIGN_LENGTHS: Final = range(16, 257)
HINTED: Final = 4
"""How many characters a hint shows at either end."""

_within: Final = re.compile(
    rf"((?:{KEY_PREFIX}|{TOKEN_PREFIX})[0-9A-Za-z]{{{HINTED}}})[0-9A-Za-z]{{16,}}"
)
REDACTED: Final = "[redacted]"

# Five characters and up, so that the hint a person recognises a key by (four) stays readable.
_redacted: Final = re.compile(rf"(?:{KEY_PREFIX}|{TOKEN_PREFIX})[0-9A-Za-z_\-]{{{HINTED + 1},}}")
_word: Final = re.compile(r"[0-9A-Za-z_%\-]+")
_encoded_percent: Final = re.compile("%(?:25)+")
_encoded: Final = re.compile("(?:%[0-9A-Fa-f]{2})+")
_DECODINGS: Final = 8
_is_base62 = re.compile(r"[0-9A-Za-z]+").fullmatch
_is_visible = re.compile(r"[!-~]+").fullmatch


def secret_within(text: str) -> re.Match[str] | None:
    """A key's secret or a caller's token somewhere in *text*: its prefix and more than a hint shows.

    Also if it is percent-encoded, several times too. Group 1 is how its hint begins; before the match's
    start there is nothing of it in *text* either.
    """
    match = _within.search(text)
    return match if match or "%" not in text else _within.search(percent_decoded(text))


def redact(text: str) -> str:
    """*text* without anything that looks like a key's secret or a caller's token.

    Also if it is percent-encoded, several times too: then without the whole word that it is in.
    """
    redacted = _redacted.sub(REDACTED, text)
    return _word.sub(_redact_encoded, redacted) if "%" in redacted else redacted


def _redact_encoded(word: re.Match[str]) -> str:
    hidden = "%" in word[0] and _redacted.search(percent_decoded(word[0])) is not None
    return REDACTED if hidden else word[0]


def percent_decoded(text: str) -> str:
    """*text* percent-decoded until it stays the same, eight times at most."""
    for _ in range(_DECODINGS):
        # Of "%2525…" all at once, so that nobody makes it take long.
        decoded = _encoded.sub(_decoded, _encoded_percent.sub("%", text))
        if decoded == text:
            break
        text = decoded
    return text


def _decoded(escapes: re.Match[str]) -> str:
    # Faster by far than the standard library's: everybody who sends a path has it decoded.
    return bytes.fromhex(escapes[0].replace("%", "")).decode(errors="replace")


class Secret:
    """A string that must not be seen: it shows itself only to who calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The string itself."""
        return self._text

    @property
    def hint(self) -> str:
        """Enough to recognise a minted secret by: `sk-optk-ab12…wxyz`."""
        head = len(self._text) - BODY_LENGTH + HINTED
        return f"{self._text[:head]}…{self._text[-HINTED:]}"

    @property
    def foreign_hint(self) -> str:
        """Enough to recognise a foreign secret by, and never more than a quarter of it: `ab…yz`."""
        shown = min(HINTED, len(self._text) // 8)
        return f"{self._text[:shown]}…{self._text[-shown:]}"

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not to be pickled")


def new_id(kind: str) -> str:
    """A fresh id: `key_`, `ws_` or `caller_` (*kind*) and 16 random base62 characters."""
    return f"{kind}_{_random(ID_LENGTH)}"


def mint(record_id: str, prefix: str = KEY_PREFIX) -> Secret:
    """A fresh secret for the record *record_id*."""
    stem = prefix + record_id.rpartition("_")[2] + _random(RANDOM_LENGTH)
    return Secret(stem + checksum(stem))


def record_id(text: str, kind: str = "key", prefix: str = KEY_PREFIX) -> str | None:
    """The id of the record that *text* claims to be a secret of, or None if it is malformed."""
    if len(text) != len(prefix) + BODY_LENGTH or not text.startswith(prefix):
        return None
    stem = text[:-CHECKSUM_LENGTH]
    if not _is_base62(text, len(prefix)) or checksum(stem) != text[-CHECKSUM_LENGTH:]:
        return None
    return f"{kind}_{text[len(prefix) : len(prefix) + ID_LENGTH]}"


def is_foreign(text: str) -> bool:
    """Whether *text* may have been minted elsewhere: 16 to 256 visible ASCII characters, not like ours."""
    return (
        len(text) in FOREIGN_LENGTHS
        and not text.startswith((KEY_PREFIX, TOKEN_PREFIX))
        and _is_visible(text) is not None
    )


def checksum(stem: str) -> str:
    """The CRC-32 of *stem* (ASCII) as 6 base62 digits, big-endian, zero-padded."""
    number, digits = zlib.crc32(stem.encode("ascii")), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _random(length: int) -> str:
    return "".join(entropy.choice(ALPHABET) for _ in range(length))
