"""Identifying callers by their tokens and certificate names."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from keyauthority.domain import secrets
from keyauthority.domain.books import Books
from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import credential_invalid
from keyauthority.domain.ports import Keyring, Store
from keyauthority.domain.sealing import check_caller


class Authenticating:
    """Finds the caller of a credential. Nobody is anonymous."""

    def __init__(self, books: Books, store: Store, keyring: Keyring) -> None:
        self._books = books
        self._store = store
        self._keyring = keyring

    async def by_token(self, token: str) -> Caller:
        """Returns the caller of *token*.

        Raises `CREDENTIAL_INVALID`, and `KEYRING_MISMATCH` if the caller's record was altered.
        """
        caller_id = secrets.record_id(token, "caller", secrets.TOKEN_PREFIX)
        if caller_id is None:
            raise credential_invalid()
        caller = await self._store.caller(caller_id)
        # Retiring a pepper deletes the digests of its tokens.
        if caller is None or not caller.digest:
            # Takes as long as a wrong token of a caller that exists, so time reveals no caller.
            self._keyring.digest(self._keyring.versions()[-1], caller_id, token)
            raise credential_invalid()
        digest = self._keyring.digest(caller.pepper_version, caller_id, token)
        if not hmac.compare_digest(digest, caller.digest) or caller.revoke_time is not None:
            raise credential_invalid()
        check_caller(self._keyring, caller)
        return caller

    async def by_certificate(self, certificate_names: Sequence[str]) -> Caller:
        """Returns the caller with one of a verified client certificate's names; raises likewise."""
        caller = await self._books.read(lambda tx: tx.callers.by_certificate(certificate_names))
        if caller is None:
            raise credential_invalid()
        check_caller(self._keyring, caller)
        return caller
