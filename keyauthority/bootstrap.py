"""The first start makes a keyring and a root token; every later one checks that they belong here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from keyauthority.domain.callers import Actor, Role
from keyauthority.domain.managing_callers import new_caller
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Store, Transaction
from keyauthority.files import write_private
from keyauthority.keyring import FileKeyring, KeyringError

ROOT: Final = "root"

log = structlog.get_logger()


async def open_keyring(store: Store, keyring: Path, root_token: Path) -> FileKeyring:
    """The keyring these books were made with; with empty books, they are initialised first.

    Raises `KeyringError` for one that is missing, foreign, open to others or broken, and `OSError`
    if the root token can't be written; nothing is left half-made.
    """
    async with store.changing() as tx:
        peppers = await tx.peppers.to_change()
        if peppers:
            opened = FileKeyring.load(keyring)
            _check(opened, keyring, peppers)
        else:
            opened = FileKeyring.load_or_create(keyring)
            await _initialise(tx, opened, root_token)
    return opened


async def _initialise(tx: Transaction, keyring: FileKeyring, root_token: Path) -> None:
    *older, newest = keyring.versions()
    states = {**dict.fromkeys(older, PepperState.SUPERSEDED), newest: PepperState.ACTIVE}
    for version, state in states.items():
        await tx.peppers.put(Pepper(version, state, keyring.fingerprint(version), tx.time))
    root, token = await new_caller(tx, keyring, ROOT, frozenset(Role))
    await tx.audit.append([Actor(root, "serve", "", "").entry(tx.time, root.id)])
    # Before the books say that there is a root: its token would be lost in a crash between the two.
    write_private(root_token, token.reveal() + "\n")
    log.info("root_token_written", path=str(root_token))


def _check(keyring: FileKeyring, path: Path, peppers: list[Pepper]) -> None:
    for pepper in peppers:
        if pepper.state is PepperState.RETIRED:
            continue
        if pepper.version not in keyring.versions():
            raise KeyringError(
                f"the keyring {path} lacks pepper version {pepper.version}, which the database uses"
            )
        if keyring.fingerprint(pepper.version) != pepper.fingerprint:
            raise KeyringError(
                f"the keyring {path} is not this database's: pepper version {pepper.version} differs"
            )
