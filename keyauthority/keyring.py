"""The keyring file: the peppers, by version, and what is derived from them.

One file of mode 0600, the same on every replica, never in the database and never in an image:
`{"peppers": {"1": "<base64 of 32 random bytes>"}, "sealing": true}`. A database without it verifies nothing; it
without the database mints nothing. `sealing` says that what has to be sealed in the database is: it
stands outside of the database, where nobody who can only write there takes it away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyauthority.base.process.files import write_private
from keyauthority.domain.errors import KeyAuthorityError, Reason

PEPPER_BYTES: Final = 32
NONCE_BYTES: Final = 12
VERSION_BYTES: Final = 4
HIGHEST_VERSION: Final = 256**VERSION_BYTES - 1


class KeyringError(Exception):
    """The keyring file can't be used; the message says why, in one sentence."""


class FileKeyring:
    """The peppers at hand. Built by `load` or `create`.

    Every use of a pepper has a key of its own, derived by HKDF (RFC 5869). Sealing is AES-256-GCM
    with a random nonce; what is sealed begins with the pepper version.
    """

    def __init__(self, path: Path, peppers: Mapping[int, bytes], *, sealing: bool = False) -> None:
        self._path = path
        self.sealing = sealing
        self._peppers = dict(sorted(peppers.items()))
        self._macs = {version: _derive(pepper, b"digest") for version, pepper in peppers.items()}
        self._seals = {version: _derive(pepper, b"record") for version, pepper in peppers.items()}

    @classmethod
    def load(cls, path: Path) -> FileKeyring:
        """Reads the file; raises `KeyringError` for one that is missing, readable to others or broken."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read()
        except FileNotFoundError:
            raise KeyringError(
                f"the keyring {path} is missing: put back the one this database was made with"
            ) from None
        except OSError as error:
            raise KeyringError(f"the keyring {path} can't be read: {error.strerror}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyringError(
                f"the keyring {path} is open to others: chmod 600 it, and consider who has read it"
            )
        peppers, sealing = _parse(path, content)
        return cls(path, peppers, sealing=sealing)

    @classmethod
    def create(cls, path: Path) -> FileKeyring:
        """Makes a file with a new version 1, in the place of any that is there; raises `KeyringError`."""
        keyring = cls(path, {1: secrets.token_bytes(PEPPER_BYTES)}, sealing=True)
        try:
            keyring._save()
        except OSError as error:
            raise KeyringError(f"the keyring {path} can't be written: {error.strerror}") from None
        return keyring

    def versions(self) -> Sequence[int]:
        """The versions at hand, oldest first."""
        return tuple(self._peppers)

    def digest(self, version: int, record_id: str, secret: str) -> bytes:
        """HMAC-SHA-256 of *record_id*, a zero byte and *secret*; raises `KEYRING_MISMATCH`."""
        return self._mac(version, record_id.encode() + b"\0" + secret.encode())

    def digest_foreign(self, version: int, secret: str) -> bytes:
        """HMAC-SHA-256 of a one byte and the SHA-256 of *secret*; raises `KEYRING_MISMATCH`.

        No record's id begins with a one byte: it is never the digest of one of our own.
        """
        return self._mac(version, b"\1" + hashlib.sha256(secret.encode()).digest())

    def fingerprint(self, version: int) -> bytes:
        """16 bytes that tell one pepper from another; raises `KEYRING_MISMATCH`."""
        return self._derived(version, b"fingerprint")[:16]

    def add(self, version: int) -> None:
        """Makes a new pepper and writes the file; raises `KEYRING_UNWRITABLE`."""
        pepper = secrets.token_bytes(PEPPER_BYTES)
        grown = FileKeyring(self._path, {**self._peppers, version: pepper}, sealing=self.sealing)
        try:
            grown._save()
        except OSError as error:
            raise KeyAuthorityError(
                Reason.KEYRING_UNWRITABLE, f"the keyring can't be written: {error.strerror}"
            ) from error
        self._peppers, self._macs, self._seals = grown._peppers, grown._macs, grown._seals

    def begin_sealing(self) -> None:
        """Says in the file that the database is sealed from now on; raises `OSError`, `KeyringError`."""
        # Another process may have added a version since this one read the file.
        marked = FileKeyring.load(self._path)
        marked.sealing = True
        marked._save()  # noqa: SLF001  # its own kind
        self.sealing = True

    def seal(self, version: int, plaintext: bytes, context: bytes) -> bytes:
        """Encrypts *plaintext*, bound to *context*; raises `KEYRING_MISMATCH`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = version.to_bytes(VERSION_BYTES, "big")
        cipher = AESGCM(self._derived(version, b"seal"))
        return head + nonce + cipher.encrypt(nonce, plaintext, head + context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """The plaintext; None if it was not sealed with a pepper at hand, in this context, whole."""
        head, nonce = sealed[:VERSION_BYTES], sealed[VERSION_BYTES : VERSION_BYTES + NONCE_BYTES]
        version = int.from_bytes(head, "big")
        if version not in self._peppers or len(nonce) < NONCE_BYTES:
            return None
        cipher = AESGCM(self._derived(version, b"seal"))
        try:
            return cipher.decrypt(nonce, sealed[VERSION_BYTES + NONCE_BYTES :], head + context)
        except InvalidTag:
            return None

    def attest(self, version: int, statement: bytes) -> bytes:
        """The version and HMAC-SHA-256 of *statement*, by a key for that; raises `KEYRING_MISMATCH`."""
        if version not in self._seals:
            raise _missing(version)
        head = version.to_bytes(VERSION_BYTES, "big")
        return head + hmac.digest(self._seals[version], statement, hashlib.sha256)

    def attested(self, statement: bytes, seal: bytes | None) -> bool:
        """Whether *seal* is what `attest` makes of *statement* with a pepper at hand."""
        version = int.from_bytes((seal or b"")[:VERSION_BYTES], "big")
        if seal is None or version not in self._seals:
            return False
        return hmac.compare_digest(self.attest(version, statement), seal)

    def _mac(self, version: int, message: bytes) -> bytes:
        try:
            key = self._macs[version]
        except KeyError:
            raise _missing(version) from None
        return hmac.digest(key, message, hashlib.sha256)

    def _derived(self, version: int, purpose: bytes) -> bytes:
        if version not in self._peppers:
            raise _missing(version)
        return _derive(self._peppers[version], purpose)

    def _save(self) -> None:
        encoded = {
            str(version): base64.b64encode(pepper).decode()
            for version, pepper in self._peppers.items()
        }
        content = {"peppers": encoded, "sealing": self.sealing}
        write_private(self._path, json.dumps(content, indent=2) + "\n")


def _derive(pepper: bytes, purpose: bytes) -> bytes:
    info = b"keyauthority " + purpose
    return HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(pepper)


def _missing(version: int) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.KEYRING_MISMATCH,
        f"the keyring lacks pepper version {version}",
        version=str(version),
    )


def _parse(path: Path, content: bytes) -> tuple[dict[int, bytes], bool]:
    broken = KeyringError(f"the keyring {path} is damaged: it is not a keyring of this authority")
    try:
        parsed = json.loads(content)
        encoded, sealing = parsed["peppers"], parsed.get("sealing", False) is True
        peppers = {
            int(version): base64.b64decode(pepper, validate=True)
            for version, pepper in encoded.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # The original would show what the file holds.
        raise broken from None
    if not peppers or min(peppers) < 1 or max(peppers) > HIGHEST_VERSION:
        raise broken
    for version, pepper in peppers.items():
        if len(pepper) < PEPPER_BYTES:
            raise KeyringError(
                f"the keyring {path} is too short: pepper version {version} has {len(pepper)} bytes,"
                f" not {PEPPER_BYTES}"
            )
    return peppers, sealing
