"""The first start makes books, a keyring and a root token; every later start checks that they match."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from keyauthority.base.process.files import check_folder, pending, settle, write_private
from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.relational.location import Location
from keyauthority.config import Settings
from keyauthority.domain.books import Books, Change, Unfenced
from keyauthority.domain.callers import Insider, Role, authority
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.managing_callers import new_caller
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.domain.repositories import Unsealed
from keyauthority.domain.sealing import sealed_caller, sealed_import
from keyauthority.keyring import FileKeyring, KeyringError
from keyauthority.storage.errors import NoBooksError
from keyauthority.storage.opening import open_books

ROOT: Final = "root"
SEALED_AT_ONCE: Final = 1_000

log = structlog.get_logger()


@asynccontextmanager
async def books_and_keyring(
    settings: Settings, clock: Clock | None = None
) -> AsyncIterator[tuple[Store, Keyring]]:
    """Opens the books that *settings* name, and their keyring.

    Without a *clock*, the books tell the time. Raises `StartError`, `StorageError`, `KeyringError`.
    """
    _make_folder(settings.data_dir)
    remnants = _remnants(settings.keyring, settings.root_token)
    books = open_books(
        settings.database,
        clock,
        allow_async_standby=settings.allow_async_standby,
        may_make=not remnants,
    )
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(books)
            keyring = await _load_keyring(store, settings)
        except NoBooksError:
            raise _lost(settings.database, remnants) from None
        yield store, keyring


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"the data directory {folder} can't be made: {error.strerror}") from None
    try:
        check_folder(folder)
    except OSError as error:
        raise StartError(f"the data directory can't be used: {error.strerror}") from None


def _lost(database: Location, remnants: Sequence[Path]) -> StartError:
    belong = "belongs" if len(remnants) == 1 else "belong"
    return StartError(
        f"there are no books in {database}, but {' and '.join(map(str, remnants))} {belong} to some: "
        "restore these, or name the right --database; for new books move what is left away"
    )


async def _load_keyring(store: Store, settings: Settings) -> Keyring:
    try:
        return await open_keyring(store, settings.keyring, settings.root_token)
    except KeyAuthorityError as error:
        raise StartError(f"the database {settings.database} fails: {error.message}") from None
    except OSError as error:
        raise StartError(
            f"the root token can't be written to {settings.root_token}: {error.strerror}"
        ) from None


def _remnants(keyring: Path, root_token: Path) -> list[Path]:
    # Returns those of the two files that exist: if any does, there are books, or were.
    try:
        return [path for path in (keyring, root_token) if path.exists()]
    except OSError as error:
        raise KeyringError(f"the keyring {keyring} can't be read: {error.strerror}") from None


async def open_keyring(store: Store, keyring: Path, root_token: Path) -> FileKeyring:
    """Returns the keyring of these books; empty books are initialised first.

    Until the books are durable, the keyring and the root token have other names. So these files
    exist under their own names if, and only if, there are books or were: the next start repeats a
    first start that was cut off before, and completes one that was cut off after.

    Raises `KeyringError` for a keyring that is missing, foreign, open to others or broken,
    `NoBooksError` if the keyring or a root token exists but the books are empty, and `OSError` if the
    root token can't be written; nothing is left half-made.
    """

    async def work(change: Change) -> list[Pepper]:
        peppers = await change.tx.peppers.to_change()
        if not peppers:
            if _remnants(keyring, root_token):
                raise NoBooksError("there are no books in the database")
            await _initialise(change, FileKeyring.create(pending(keyring)), pending(root_token))
        return peppers

    # No verifier knows of these books yet.
    books, who = Books(store, Unfenced()), authority("serve")
    peppers = await books.record(who, work)
    if not keyring.exists():
        _complete(keyring, root_token, peppers)
    loaded = FileKeyring.load(keyring)
    _check(loaded, keyring, peppers)
    if not loaded.sealing:
        await _seal(books, who, loaded)
    return loaded


async def _seal(books: Books, who: Insider, keyring: FileKeyring) -> None:
    """Seals the rows of versions that knew no seals: once, as they are."""

    async def work(change: Change) -> None:
        tx = change.tx
        callers = await tx.callers.never_sealed()
        for caller in callers:
            await tx.callers.update(sealed_caller(keyring, caller))
        secrets, after = 0, b""
        while batch := await tx.keys.never_sealed(SEALED_AT_ONCE, after):
            await tx.keys.seal([_sealed(keyring, entry) for entry in batch])
            secrets, after = secrets + len(batch), batch[-1].secret.digest
        if callers or secrets:
            details = {"callers": str(len(callers)), "secrets": str(secrets)}
            change.records(Fact(Action.RECORDS_SEALED, details))

    await books.record(who, work)
    try:
        keyring.begin_sealing()
    except OSError as error:
        # Until the keyring can be written, each start takes rows without a seal for old ones.
        log.warning("keyring_not_marked", why=error.strerror)


def _sealed(keyring: FileKeyring, entry: Unsealed) -> Unsealed:
    secret = sealed_import(keyring, entry.key_id, entry.workspace_id, entry.secret)
    return replace(entry, secret=secret)


def _complete(keyring: Path, root_token: Path, peppers: list[Pepper]) -> None:
    """Completes a first start whose books are durable."""
    try:
        _check(FileKeyring.load(pending(keyring)), pending(keyring), peppers)
    except KeyringError:
        return  # There is none, or a failed first start of other books left it.
    settle(root_token)
    if root_token.exists():
        log.info("root_token_written", path=str(root_token))
    # The last step: until it is done, the next start repeats them all.
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
    # Before the books have a root caller: a crash between the two would lose its token.
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
