"""The keyring file: the peppers, by version, and what is derived from them.

One file of mode 0600, the same on every replica, never in the database and never in an image:
`{"peppers": {"1": "<base64 of 32 random bytes>"}, "sealing": true}`. A database without its keyring
verifies nothing; a keyring without its database mints nothing. `sealing` says that the database's
records are sealed: nobody who can only write to the database can take that back.
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

_USES: Final = (b"digest", b"record", b"seal", b"fingerprint")


class KeyringError(Exception):
    """The keyring file can't be used; the message says why, in one sentence."""


class FileKeyring:
    """The peppers at hand. Built by `load` or `create`.

    Every use of a pepper has a key of its own, derived by HKDF (RFC 5869). Sealing is AES-256-GCM with a random nonce; sealed bytes begin with the pepper version.
    """

    def __init__(self, path: Path, peppers: Mapping[int, bytes], *, sealing: bool = False) -> None:
        self._path = path
        self.sealing = sealing
        self._peppers = dict(sorted(peppers.items()))
        self._keys = {
            (version, use): HKDF(
                hashes.SHA256(), length=32, salt=None, info=b"keyauthority " + use
            ).derive(pepper)
            for version, pepper in peppers.items()
            for use in _USES
        }

    @classmethod
    def load(cls, path: Path) -> FileKeyring:
        """Reads the file; raises `KeyringError` if it is missing, readable to others or damaged."""
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
        """Writes a file with a new version 1, over any other; raises `KeyringError`."""
        keyring = cls(path, {1: secrets.token_bytes(PEPPER_BYTES)}, sealing=True)
        try:
            keyring._save()
        except OSError as error:
            raise KeyringError(f"the keyring {path} can't be written: {error.strerror}") from None
        return keyring

    def versions(self) -> Sequence[int]:
        """Returns the versions at hand, oldest first."""
        return tuple(self._peppers)

    def digest(self, version: int, record_id: str, secret: str) -> bytes:
        """Returns HMAC-SHA-256 of *record_id*, a zero byte and *secret*; raises `KEYRING_MISMATCH`."""
        message = record_id.encode() + b"\0" + secret.encode()
        return hmac.digest(self._key(version, b"digest"), message, hashlib.sha256)

    def digest_foreign(self, version: int, secret: str) -> bytes:
        """Returns HMAC-SHA-256 of a one byte and SHA-256 of *secret*; raises `KEYRING_MISMATCH`.

        No record's id begins with a one byte: `digest` never returns the same.
        """
        message = b"\1" + hashlib.sha256(secret.encode()).digest()
        return hmac.digest(self._key(version, b"digest"), message, hashlib.sha256)

    def fingerprint(self, version: int) -> bytes:
        """Returns 16 bytes that tell one pepper from another; raises `KEYRING_MISMATCH`."""
        return self._key(version, b"fingerprint")[:16]

    def add(self, version: int) -> None:
        """Adds a new pepper and writes the file; raises `KEYRING_UNWRITABLE`."""
        pepper = secrets.token_bytes(PEPPER_BYTES)
        grown = FileKeyring(self._path, {**self._peppers, version: pepper}, sealing=self.sealing)
        try:
            grown._save()
        except OSError as error:
            raise KeyAuthorityError(
                Reason.KEYRING_UNWRITABLE, f"the keyring can't be written: {error.strerror}"
            ) from error
        self._peppers, self._keys = grown._peppers, grown._keys

    def begin_sealing(self) -> None:
        """Writes to the file that the database is sealed; raises `OSError`, `KeyringError`."""
        # Another process may have added a version since this one read the file.
        marked = FileKeyring.load(self._path)
        marked.sealing = True
        marked._save()  # noqa: SLF001  # its own kind
        self.sealing = True

    def seal(self, version: int, plaintext: bytes, context: bytes) -> bytes:
        """Returns *plaintext* encrypted and bound to *context*; raises `KEYRING_MISMATCH`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = version.to_bytes(VERSION_BYTES, "big")
        cipher = AESGCM(self._key(version, b"seal"))
        return head + nonce + cipher.encrypt(nonce, plaintext, head + context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """Returns the plaintext; None unless *sealed* is whole, of this context and a pepper at hand."""
        head, nonce = sealed[:VERSION_BYTES], sealed[VERSION_BYTES : VERSION_BYTES + NONCE_BYTES]
        version = int.from_bytes(head, "big")
        if version not in self._peppers or len(nonce) < NONCE_BYTES:
            return None
        cipher = AESGCM(self._key(version, b"seal"))
        try:
            return cipher.decrypt(nonce, sealed[VERSION_BYTES + NONCE_BYTES :], head + context)
        except InvalidTag:
            return None

    def attest(self, version: int, statement: bytes) -> bytes:
        """Returns the version and HMAC-SHA-256 of *statement*; raises `KEYRING_MISMATCH`."""
        mac = hmac.digest(self._key(version, b"record"), statement, hashlib.sha256)
        return version.to_bytes(VERSION_BYTES, "big") + mac

    def attested(self, statement: bytes, seal: bytes | None) -> bool:
        """Returns whether `attest` returns *seal* for *statement*, with a pepper at hand."""
        version = int.from_bytes((seal or b"")[:VERSION_BYTES], "big")
        if seal is None or version not in self._peppers:
            return False
        return hmac.compare_digest(self.attest(version, statement), seal)

    def _key(self, version: int, use: bytes) -> bytes:
        try:
            return self._keys[version, use]
        except KeyError:
            raise KeyAuthorityError(
                Reason.KEYRING_MISMATCH,
                f"the keyring lacks pepper version {version}",
                version=str(version),
            ) from None

    def _save(self) -> None:
        encoded = {
            str(version): base64.b64encode(pepper).decode()
            for version, pepper in self._peppers.items()
        }
        content = {"peppers": encoded, "sealing": self.sealing}
        write_private(self._path, json.dumps(content, indent=2) + "\n")


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
        # The original exception would show the file's content.
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
