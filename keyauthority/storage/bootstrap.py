"""The first start makes a keyring and a root token; every later one checks that they belong here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from keyauthority.base.process.files import pending, settle, write_private
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Insider, Role, authority
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.fencing import Unfenced
from keyauthority.domain.managing_callers import new_caller
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Store, Unsealed
from keyauthority.domain.sealing import sealed_caller, sealed_import
from keyauthority.keyring import FileKeyring, KeyringError
from keyauthority.storage.errors import NoBooksError

ROOT: Final = "root"
SEALED_AT_ONCE: Final = 1_000

log = structlog.get_logger()


def traces(keyring: Path, root_token: Path) -> list[Path]:
    """Those of the two files that are there, which says that there are books, or were.

    Raises `KeyringError` if that can't be told.
    """
    try:
        return [path for path in (keyring, root_token) if path.exists()]
    except OSError as error:
        raise KeyringError(f"the keyring {keyring} can't be read: {error.strerror}") from None


async def open_keyring(store: Store, keyring: Path, root_token: Path) -> FileKeyring:
    """The keyring these books were made with; with empty books, they are initialised first.

    Until the books are durable, the keyring and the root token have other names. So they are there
    under their own names if, and only if, there are books or were: a start that was cut off before
    is done anew by the next one, one that was cut off after is completed.

    Raises `KeyringError` for a keyring that is missing, foreign, open to others or broken,
    `NoBooksError` if it or a root token is there and the books are empty, and `OSError` if the root
    token can't be written; nothing is left half-made.
    """

    async def work(change: Change) -> list[Pepper]:
        peppers = await change.tx.peppers.to_change()
        if not peppers:
            if traces(keyring, root_token):
                raise NoBooksError("there are no books in the database")
            await _initialise(change, FileKeyring.create(pending(keyring)), pending(root_token))
        return peppers

    # No verifier knows of these books yet.
    books, who = Books(store, Unfenced()), authority("serve")
    peppers = await books.record(who, work)
    if not keyring.exists():
        _complete(keyring, root_token, peppers)
    opened = FileKeyring.load(keyring)
    _check(opened, keyring, peppers)
    if not opened.sealing:
        await _seal(books, who, opened)
    return opened


async def _seal(books: Books, who: Insider, keyring: FileKeyring) -> None:
    """Seals what a version before there were seals has written: once, as it is found."""

    async def work(change: Change) -> None:
        tx = change.tx
        callers = await tx.callers.never_sealed()
        for caller in callers:
            await tx.callers.update(sealed_caller(keyring, caller))
        secrets, after = 0, b""
        while some := await tx.keys.never_sealed(SEALED_AT_ONCE, after):
            await tx.keys.seal([_sealed(keyring, one) for one in some])
            secrets, after = secrets + len(some), some[-1].secret.digest
        if callers or secrets:
            details = {"callers": str(len(callers)), "secrets": str(secrets)}
            change.records(Fact(Action.RECORDS_SEALED, details))

    await books.record(who, work)
    try:
        keyring.begin_sealing()
    except OSError as error:
        # Until it can be written, each start takes rows without a seal for old ones.
        log.warning("keyring_not_marked", why=error.strerror)


def _sealed(keyring: FileKeyring, one: Unsealed) -> Unsealed:
    return replace(one, secret=sealed_import(keyring, one.key_id, one.workspace_id, one.secret))


def _complete(keyring: Path, root_token: Path, peppers: list[Pepper]) -> None:
    """Ends a first start whose books are made."""
    try:
        _check(FileKeyring.load(pending(keyring)), pending(keyring), peppers)
    except KeyringError:
        return  # There is none, or it is left of a first start in vain: other books than these.
    settle(root_token)
    if root_token.exists():
        log.info("root_token_written", path=str(root_token))
    # The last step: until it is done, the next start does them again.
    settle(keyring)


async def _initialise(change: Change, keyring: FileKeyring, root_token: Path) -> None:
    tx = change.tx
    *older, newest = keyring.versions()
    states = {**dict.fromkeys(older, PepperState.SUPERSEDED), newest: PepperState.ACTIVE}
    for version, state in states.items():
        await tx.peppers.put(Pepper(version, state, keyring.fingerprint(version), tx.time))
    root, token = await new_caller(tx, keyring, ROOT, frozenset(Role))
    details = {"name": root.name, "roles": ",".join(sorted(role.name for role in root.roles))}
    change.records(Fact(Action.CALLER_CREATED, details), root.id)
    # Before the books say that there is a root: its token would be lost in a crash between the two.
    write_private(root_token, token.reveal() + "\n")


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
