"""The strength and the hashes of passwords."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from zxcvbn import zxcvbn

from console.people.errors import StoreUnavailable, WeakPassword

T = TypeVar("T")

SHORTEST: Final = 12
LONGEST: Final = 128
AT_ONCE: Final = 2
"""How many passwords are hashed at a time: each takes 64 MiB and a processor."""

MOST_WAITING: Final = 50
"""How many more may wait for that, some seconds; further ones are refused at once."""

_SCORE: Final = 3
"""The lowest score of zxcvbn's, of 0 to 4, that is accepted: over a hundred million guesses."""

_ESTIMATED: Final = 72
"""How many characters zxcvbn gets: its time grows with their square."""

_PRODUCT: Final = ("opentoken", "keyauthority")
_SHORTEST_WORD: Final = 3
_LOOKALIKES: Final = str.maketrans("01345789", "oleastbg")
_separators: Final = re.compile(r"[\W_]+")


def check(password: str, *own: str) -> None:
    """Raises `WeakPassword` unless *password* is strong; *own* are its owner's address and name.

    zxcvbn (Wheeler, USENIX Security 2016) estimates the guesses of an attacker who tries common
    passwords and words first, in all their disguises, and knows the owner. What remains of the
    password without the owner's address and name and the product's name must be strong as well.
    """
    text = _normal(password).casefold()
    if len(text) < SHORTEST:
        raise WeakPassword(f"Use at least {SHORTEST} characters; a few words do well.")
    if len(text) > LONGEST:
        raise WeakPassword(f"Use at most {LONGEST} characters.")
    words = _words(own)
    if all(_is_strong(remainder, words) for remainder in _remainders(words, text)):
        return
    if all(_is_strong(remainder, ()) for remainder in _remainders((), text)):
        raise WeakPassword("Use something else than your name or address.")
    raise WeakPassword("This password is among the first that are tried. Choose another.")


def _remainders(words: Sequence[str], text: str) -> Iterator[str]:
    # The text without the words, as it was typed and without its separators: attackers guess both.
    joined = _separators.sub("", text)
    yield from (_without(words, text), _without(words, joined))
    # Also with letters in place of digits that look like them, if that shows one of the words.
    spelled = joined.translate(_LOOKALIKES)
    remainder = _without(words, spelled)
    if remainder != spelled:
        yield remainder


def _is_strong(text: str, words: Iterable[str]) -> bool:
    if not text:
        return False
    score: int = zxcvbn(text[:_ESTIMATED], user_inputs=list(words))["score"]
    return score >= _SCORE


def _words(own: Iterable[str]) -> list[str]:
    # The texts and their parts between dots, spaces and the like; the longest first.
    texts = [_normal(text).casefold() for text in own]
    parts = (part for text in texts for part in (*_separators.split(text), text.partition("@")[0]))
    words = {word for word in (*texts, *parts, *_PRODUCT) if len(word) >= _SHORTEST_WORD}
    return sorted(words, key=len, reverse=True)


def _without(words: Iterable[str], text: str) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


class Passwords:
    """The hashing of passwords, in threads.

    Each method raises `StoreUnavailable` if memory is short or too many passwords wait.
    """

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._decoy_hash = hasher.hash(secrets.token_bytes(16))
        self._pending = 0

    async def accept(self, password: str, *own: str) -> str:
        """Returns the hash of a new password; *own* are its owner's address and name.

        Raises `WeakPassword`.
        """

        def checked() -> str:
            check(password, *own)
            return self._hasher.hash(_bytes(password))

        return await self._in_thread(checked)

    async def hash(self, password: str) -> str:
        """Returns the hash of a password that is in use already."""
        return await self._in_thread(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Returns whether *password_hash* is of *password*; False for None, after the same work."""
        compared = password_hash or self._decoy_hash
        equal = await self._in_thread(lambda: self._is_hash_of(password, compared))
        return equal and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Returns whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Waits for the passwords that are being hashed, and drops those that wait."""
        self._threads.shutdown(cancel_futures=True)

    def _is_hash_of(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _bytes(password))
        except VerifyMismatchError:
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._pending >= AT_ONCE + MOST_WAITING:
            raise StoreUnavailable("too many passwords are to be checked now")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (Argon2Error, InvalidHashError):
            raise StoreUnavailable("the password can't be checked now") from None
        finally:
            self._pending -= 1


def _bytes(password: str) -> bytes:
    # A password that is too long is wrong anyway; nobody has the empty one.
    text = _normal(password) if len(password) <= LONGEST * 4 else ""
    return text.encode("utf-8", "surrogatepass")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
