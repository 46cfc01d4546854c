"""The first start, every later one, and those that can't be."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keyauthority.base.process.lifecycle import StartError
from keyauthority.config import Settings
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.repositories import Transaction
from keyauthority.keyring import FileKeyring, KeyringError
from keyauthority.storage import bootstrap
from keyauthority.storage.errors import NoBooksError, unavailable
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock
from tests.domain.parts import an_actor
from tests.transactions import changing, reading


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def root_token(tmp_path: Path) -> Path:
    return tmp_path / "root.token"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ManualClock())


class FailingStore(MemoryStore):
    """Books whose changes are lost at the last moment, as long as `failing`."""

    failing = True

    async def change(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        async def failing(tx: Transaction) -> Any:
            result = await work(tx)
            if self.failing:
                raise unavailable("the disk of the database is full")
            return result

        return await super().change(failing)


async def root_of(store: MemoryStore, keyring: FileKeyring, root_token: Path) -> Caller:
    """The caller behind the root token."""
    return await Authenticating(Books(store, Unfenced()), store, keyring).by_token(
        root_token.read_text().strip()
    )


async def test_the_first_start(store: MemoryStore, keyring: Path, root_token: Path) -> None:
    """It makes a keyring and a token for all roles, both for their owner alone, and audits it."""
    opened = await bootstrap.open_keyring(store, keyring, root_token)

    root = await root_of(store, opened, root_token)
    assert (root.name, root.roles, root.workspace_ids) == ("root", frozenset(Role), ())
    assert stat.S_IMODE(keyring.stat().st_mode) == 0o600
    assert stat.S_IMODE(root_token.stat().st_mode) == 0o600
    async with reading(store) as tx:
        [pepper] = await tx.peppers.all()
        [entry] = await tx.audit.page(AuditFilter(), 10, None)
    assert (pepper.version, pepper.state) == (1, PepperState.ACTIVE)
    assert (entry.method, entry.action) == ("serve", Action.CALLER_CREATED)
    assert (entry.caller_id, entry.subject) == ("authority", root.id)


async def test_a_later_start(store: MemoryStore, keyring: Path, root_token: Path) -> None:
    """It changes nothing: not the files, not the books; the token may have been put elsewhere."""
    await bootstrap.open_keyring(store, keyring, root_token)
    token, peppers = root_token.read_text(), keyring.read_bytes()
    root_token.unlink()

    opened = await bootstrap.open_keyring(store, keyring, root_token)

    assert not root_token.exists()
    assert keyring.read_bytes() == peppers
    assert (
        await Authenticating(Books(store, Unfenced()), store, opened).by_token(token.strip())
    ).name == "root"


async def test_a_database_without_its_keyring(
    store: MemoryStore, keyring: Path, root_token: Path
) -> None:
    """No new keyring is made for old books: the operator is told to put the old one back."""
    await bootstrap.open_keyring(store, keyring, root_token)
    keyring.unlink()

    with pytest.raises(KeyringError, match="is missing: put back the one this database"):
        await bootstrap.open_keyring(store, keyring, root_token)

    assert not keyring.exists()


async def test_the_keyring_of_another_database(
    store: MemoryStore, keyring: Path, root_token: Path
) -> None:
    """One with other peppers of the same versions is told apart by their fingerprints."""
    await bootstrap.open_keyring(store, keyring, root_token)
    keyring.unlink()
    FileKeyring.create(keyring)

    with pytest.raises(
        KeyringError, match="is not this database's: pepper version 1 differs"
    ) as refused:
        await bootstrap.open_keyring(store, keyring, root_token)

    assert str(keyring) in str(refused.value)


async def test_an_older_copy_of_the_keyring(
    store: MemoryStore, keyring: Path, root_token: Path
) -> None:
    """One from before a pepper was added is missing what the database uses."""
    opened = await bootstrap.open_keyring(store, keyring, root_token)
    older = keyring.read_bytes()
    await ManagingPeppers(Books(store, Unfenced()), opened).add(an_actor())
    keyring.write_bytes(older)

    with pytest.raises(KeyringError, match="lacks pepper version 2, which the database uses"):
        await bootstrap.open_keyring(store, keyring, root_token)


async def test_a_newer_copy_of_the_keyring(
    store: MemoryStore, keyring: Path, root_token: Path
) -> None:
    """One that a crash left with a version more than the books know of is good."""
    opened = await bootstrap.open_keyring(store, keyring, root_token)
    opened.add(2)

    again = await bootstrap.open_keyring(store, keyring, root_token)

    assert again.versions() == (1, 2)
    added = await ManagingPeppers(Books(store, Unfenced()), again).add(an_actor())
    assert (added.version, added.fingerprint) == (2, opened.fingerprint(2))


async def test_a_first_start_whose_books_fail(keyring: Path, root_token: Path) -> None:
    """There is neither keyring nor token, since there are no books; the next start works."""
    store = FailingStore(ManualClock())
    with pytest.raises(KeyAuthorityError):
        await bootstrap.open_keyring(store, keyring, root_token)
    assert not keyring.exists()
    assert not root_token.exists()
    store.failing = False

    opened = await bootstrap.open_keyring(store, keyring, root_token)

    assert (await root_of(store, opened, root_token)).name == "root"
    assert {file.name for file in keyring.parent.iterdir()} == {keyring.name, root_token.name}


async def test_a_first_start_in_vain_elsewhere(
    store: MemoryStore, keyring: Path, root_token: Path, tmp_path: Path
) -> None:
    """What it left here is no keyring of the books that another machine has made since."""
    failing = FailingStore(ManualClock())
    with pytest.raises(KeyAuthorityError):
        await bootstrap.open_keyring(failing, keyring, root_token)
    there = tmp_path / "there"
    there.mkdir()
    await bootstrap.open_keyring(store, there / keyring.name, there / root_token.name)

    with pytest.raises(KeyringError, match="is missing: put back the one this database"):
        await bootstrap.open_keyring(store, keyring, root_token)

    assert not keyring.exists()
    assert not root_token.exists()


async def test_a_first_start_on_a_full_disk(
    keyring: Path, root_token: Path, tmp_path: Path
) -> None:
    """The operator is told in one sentence, not by a traceback."""
    settings = Settings("127.0.0.1:0", tmp_path, tmp_path / "authority.db", keyring)

    with pytest.raises(StartError) as refused:
        await bootstrap._load_keyring(FailingStore(ManualClock()), settings)

    assert str(refused.value) == (
        f"the database {settings.database} fails: the disk of the database is full"
    )


async def test_a_token_that_cannot_be_written(
    store: MemoryStore, keyring: Path, tmp_path: Path
) -> None:
    """Books whose root token is lost are never made."""
    with pytest.raises(OSError, match="No such file or directory"):
        await bootstrap.open_keyring(store, keyring, tmp_path / "nowhere" / "root.token")

    async with reading(store) as tx:
        assert await tx.peppers.all() == []
        assert await tx.callers.admins() == 0


@pytest.mark.parametrize("left", [{"keyring"}, {"root.token"}, {"keyring", "root.token"}])
async def test_empty_books_beside_a_trace_of_others(
    keyring: Path, root_token: Path, left: set[str]
) -> None:
    """A keyring or a token says that there were books: no others are made in their place."""
    before = MemoryStore(ManualClock())
    await bootstrap.open_keyring(before, keyring, root_token)
    for path in (keyring, root_token):
        if path.stem not in left and path.name not in left:
            path.unlink()
    files = {file: file.read_bytes() for file in keyring.parent.iterdir()}

    lost = MemoryStore(ManualClock())
    with pytest.raises(NoBooksError):
        await bootstrap.open_keyring(lost, keyring, root_token)

    assert {file: file.read_bytes() for file in keyring.parent.iterdir()} == files
    async with reading(lost) as tx:
        assert await tx.peppers.all() == []
        assert await tx.callers.admins() == 0


async def test_a_retired_pepper_may_leave_the_keyring(
    store: MemoryStore, keyring: Path, root_token: Path
) -> None:
    """A version that is retired is asked for no longer, and what was made with it is refused."""
    opened = await bootstrap.open_keyring(store, keyring, root_token)
    managing, actor = ManagingPeppers(Books(store, Unfenced()), opened), an_actor()
    await managing.add(actor)
    await managing.activate(actor, 2)
    root = await root_of(store, opened, root_token)
    async with changing(store) as tx:
        await tx.callers.update(root.revoked(tx.time))
    await managing.retire(actor, 1)
    FileKeyring(keyring, {2: opened._peppers[2]})._save()

    again = await bootstrap.open_keyring(store, keyring, root_token)

    assert again.versions() == (2,)
    with pytest.raises(KeyAuthorityError) as refused:
        await root_of(store, again, root_token)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID
