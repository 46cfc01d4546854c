"""Seals over callers, and over which key an imported secret belongs to.

Without the keyring, nobody who can write to the database can give a caller more roles, or a secret
another owner: a record that differs from its sealed content is refused. An older row with its older
seal is accepted. Rows of versions without seals are sealed once, at the first start with the keyring.
"""

from __future__ import annotations

import json
from dataclasses import replace

from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import StoredSecret
from keyauthority.domain.ports import Keyring


def sealed_caller(keyring: Keyring, caller: Caller) -> Caller:
    """Returns the caller with its seal; raises `KEYRING_MISMATCH`."""
    return replace(caller, seal=keyring.attest(caller.pepper_version, _of_caller(caller)))


def check_caller(keyring: Keyring, caller: Caller) -> None:
    """Raises `KEYRING_MISMATCH` unless the caller has its sealed content."""
    if not keyring.attested(_of_caller(caller), caller.seal):
        raise _altered(caller_id=caller.id)


def sealed_import(
    keyring: Keyring, key_id: str, workspace_id: str, secret: StoredSecret
) -> StoredSecret:
    """Returns the imported secret of the key with its seal; raises `KEYRING_MISMATCH`."""
    statement = _of_import(key_id, workspace_id, secret)
    return replace(secret, seal=keyring.attest(secret.pepper_version, statement))


def check_import(keyring: Keyring, key_id: str, workspace_id: str, secret: StoredSecret) -> None:
    """Raises `KEYRING_MISMATCH` unless the imported secret was sealed for this key and workspace."""
    if not keyring.attested(_of_import(key_id, workspace_id, secret), secret.seal):
        raise _altered(key_id=key_id)


def _of_caller(caller: Caller) -> bytes:
    fields = (
        "caller",
        caller.id,
        caller.name,
        sorted(role.value for role in caller.roles),
        caller.workspace_ids,
        caller.certificate_name,
        caller.digest.hex(),
        caller.token_hint,
        caller.create_time.isoformat(),
        caller.acts_for_people,
    )
    # JSON quotes strings and escapes what isn't ASCII, so no two lists have the same text.
    return json.dumps(fields).encode("ascii")


def _of_import(key_id: str, workspace_id: str, secret: StoredSecret) -> bytes:
    # No sealed id has a line break, so an id with one matches no seal.
    return f"import\n{key_id}\n{workspace_id}\n{secret.digest.hex()}".encode()


def _altered(**subject: str) -> KeyAuthorityError:
    [(_, record)] = subject.items()
    return KeyAuthorityError(
        Reason.KEYRING_MISMATCH,
        f"the record of {record} is not as this keyring sealed it: it was altered in the database",
        **subject,
    )
