"""Seals: callers, and whose an imported secret is, as the authority wrote them.

Whoever can write to the database, but doesn't have the keyring, can't give a caller more roles or a
secret another owner: what is not as it was sealed is refused. They can put back a row as it was at an
earlier time, with the seal it had then. A row that was never sealed is of a version before there
were seals: the first start with the keyring seals those, once.
"""

from __future__ import annotations

import json
from dataclasses import replace

from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import StoredSecret
from keyauthority.domain.ports import Keyring


def sealed_caller(keyring: Keyring, caller: Caller) -> Caller:
    """The caller with its seal; raises `KEYRING_MISMATCH`."""
    return replace(caller, seal=keyring.attest(caller.pepper_version, _of_caller(caller)))


def check_caller(keyring: Keyring, caller: Caller) -> None:
    """Raises `KEYRING_MISMATCH` unless the caller is as it was sealed."""
    if not keyring.attested(_of_caller(caller), caller.seal):
        raise _altered(caller_id=caller.id)


def sealed_import(
    keyring: Keyring, key_id: str, workspace_id: str, secret: StoredSecret
) -> StoredSecret:
    """The imported secret of that key with its seal; raises `KEYRING_MISMATCH`."""
    statement = _of_import(key_id, workspace_id, secret)
    return replace(secret, seal=keyring.attest(secret.pepper_version, statement))


def check_import(keyring: Keyring, key_id: str, workspace_id: str, secret: StoredSecret) -> None:
    """Raises `KEYRING_MISMATCH` unless the imported secret is that key's, and the key that workspace's."""
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
    # One text for each list: JSON puts strings into quotes, and escapes what isn't ASCII.
    return json.dumps(fields).encode("ascii")


def _of_import(key_id: str, workspace_id: str, secret: StoredSecret) -> bytes:
    # No id that was sealed has a line break: one that does makes another statement than any of these.
    return f"import\n{key_id}\n{workspace_id}\n{secret.digest.hex()}".encode()


def _altered(**subject: str) -> KeyAuthorityError:
    [(_, record)] = subject.items()
    return KeyAuthorityError(
        Reason.KEYRING_MISMATCH,
        f"the record of {record} is not as this keyring sealed it: it was altered in the database",
        **subject,
    )
