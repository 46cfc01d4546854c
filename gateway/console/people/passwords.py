"""Passwords: which are good enough, and how they are kept."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from gateway.console.people.errors import StoreUnavailable, WeakPassword

T = TypeVar("T")

SHORTEST: Final = 12
LONGEST: Final = 128
AT_ONCE: Final = 2
"""How many are hashed at a time: each takes 64 MiB and a processor."""

MOST_WAITING: Final = 50
"""How many more may wait for that, some seconds: whoever comes then is sent away at once."""

# What is tried first, in its forms of twelve characters and more. Whatever repeats is caught anyway.
_COMMON: Final = frozenset(
    {
        "password1234",
        "password12345",
        "password123456",
        "passwordpassword",
        "mypassword123",
        "passw0rd1234",
        "123456789012",
        "1234567890123",
        "12345678901234",
        "1234567890ab",
        "012345678910",
        "abcdefghijkl",
        "abcdefghijklm",
        "abcdefghijklmnop",
        "qwertyuiop12",
        "qwertyuiop123",
        "qwertyuiopas",
        "qwertyuiopasdf",
        "qwerty123456",
        "qwertyqwerty",
        "1q2w3e4r5t6y",
        "1qaz2wsx3edc",
        "iloveyou1234",
        "letmein12345",
        "welcome12345",
        "administrator",
        "administrator1",
        "changeme1234",
        "changemechangeme",
        "opentoken123",
        "opentoken1234",
        "correcthorsebatterystaple",
    }
)
_FEWEST_DIFFERENT: Final = 4


def hasher() -> PasswordHasher:
    """The parameters: those that RFC 9106 recommends where memory is scarce, argon2's own default."""
    return PasswordHasher()


def check(password: str, *own: str) -> None:
    """Raises `WeakPassword` unless *password* is fit; *own* are its owner's address and name."""
    text = _normal(password)
    if len(text) < SHORTEST:
        raise WeakPassword(f"Use at least {SHORTEST} characters; a few words do well.")
    if len(text) > LONGEST:
        raise WeakPassword(f"Use at most {LONGEST} characters.")
    if text.casefold() in {_normal(one).casefold() for one in own}:
        raise WeakPassword("Use something else than your name or address.")
    if text.casefold() in _COMMON or len(set(text.casefold())) < _FEWEST_DIFFERENT:
        raise WeakPassword("This password is among the first that are tried. Choose another.")


class Passwords:
    """Hashes beside the event loop, and as much work for an address that nobody has."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._nobodys = hasher.hash(secrets.token_bytes(16))
        self._wanted = 0

    async def hash(self, password: str) -> str:
        """What to keep of *password*.

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
