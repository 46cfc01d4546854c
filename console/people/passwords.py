"""Passwords: which are good enough, and how they are kept."""

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
"""How many are hashed at a time: each takes 64 MiB and a processor."""

MOST_WAITING: Final = 50
"""How many more may wait for that, some seconds: whoever comes then is sent away at once."""

_SCORE: Final = 3
"""The least that zxcvbn has to give, of 4: more than a hundred million guesses."""

_ESTIMATED: Final = 72
"""How many characters of a password are looked at: that takes longer by the square of them."""

_PRODUCT: Final = ("opentoken", "keyauthority")
_SHORTEST_WORD: Final = 3
_STAND_INS: Final = str.maketrans("01345789", "oleastbg")
_separators: Final = re.compile(r"[\W_]+")


def hasher() -> PasswordHasher:
    """The parameters: those that RFC 9106 recommends where memory is scarce, argon2's own default."""
    return PasswordHasher()


def check(password: str, *own: str) -> None:
    """Raises `WeakPassword` unless *password* is fit; *own* are its owner's address and name.

    It is judged by how many guesses it would take whoever tries common passwords and words first,
    in all their disguises, and knows whose account it is (zxcvbn, Wheeler, USENIX Security 2016).
    What is left without the owner's address, name and the product's name has to do as well.
    """
    text = _normal(password).casefold()
    if len(text) < SHORTEST:
        raise WeakPassword(f"Use at least {SHORTEST} characters; a few words do well.")
    if len(text) > LONGEST:
        raise WeakPassword(f"Use at most {LONGEST} characters.")
    words = _words(own)
    if all(_is_strong(rest, words) for rest in _rests(words, text)):
        return
    if all(_is_strong(rest, ()) for rest in _rests((), text)):
        raise WeakPassword("Use something else than your name or address.")
    raise WeakPassword("This password is among the first that are tried. Choose another.")


def _rests(words: Sequence[str], text: str) -> Iterator[str]:
    # What is left without the words: as it was typed, and without what stands between its parts,
    # which guessers leave out and put in.
    plain = _separators.sub("", text)
    yield from (_without(words, text), _without(words, plain))
    # And with letters for the digits that stand in for them, if that shows one of the words.
    spelt = plain.translate(_STAND_INS)
    rest = _without(words, spelt)
    if rest != spelt:
        yield rest


def _is_strong(text: str, words: Iterable[str]) -> bool:
    if not text:
        return False
    score: int = zxcvbn(text[:_ESTIMATED], user_inputs=list(words))["score"]
    return score >= _SCORE


def _words(own: Iterable[str]) -> list[str]:
    # Whole, and in the parts that stand between dots, spaces and the like; the longest first.
    texts = [_normal(text).casefold() for text in own]
    parts = (part for text in texts for part in (*_separators.split(text), text.partition("@")[0]))
    words = {word for word in (*texts, *parts, *_PRODUCT) if len(word) >= _SHORTEST_WORD}
    return sorted(words, key=len, reverse=True)


def _without(words: Iterable[str], text: str) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


class Passwords:
    """Hashes beside the event loop, and as much work for an address that nobody has."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._nobodys = hasher.hash(secrets.token_bytes(16))
        self._wanted = 0

    async def accept(self, password: str, *own: str) -> str:
        """What to keep of a new password; *own* are its owner's address and name.

        Raises `WeakPassword`, and `StoreUnavailable` as `hash` does.
        """

        def work() -> str:
            check(password, *own)
            return self._hasher.hash(_bytes(password))

        return await self._apart(work)

    async def hash(self, password: str) -> str:
        """What to keep of *password*, which is in use already.

        Raises `StoreUnavailable` where there is no memory for it, or too many wait.
        """
        return await self._apart(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether *password* is the one that *kept* was made of; never, if there is none.

        Raises `StoreUnavailable` where that can't be found out.
        """
        right = await self._apart(lambda: self._is_right(kept or self._nobodys, password))
        return right and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether *kept* was made with other parameters than now."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Waits for what is being hashed, not for what waits itself."""
        self._threads.shutdown(cancel_futures=True)

    def _is_right(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _bytes(password))
        except VerifyMismatchError:
            return False

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._wanted >= AT_ONCE + MOST_WAITING:
            raise StoreUnavailable("too many passwords are to be checked now")
        self._wanted += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (Argon2Error, InvalidHashError):
            raise StoreUnavailable("the password can't be checked now") from None
        finally:
            self._wanted -= 1


def _bytes(password: str) -> bytes:
    # What is too long is wrong anyway, and the empty one is nobody's.
    text = _normal(password) if len(password) <= LONGEST * 4 else ""
    return text.encode("utf-8", "surrogatepass")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
