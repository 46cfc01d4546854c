"""What somebody who can write to the database, without the keyring, gets nobody to believe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import Key
from keyauthority.domain.managing_callers import NewCaller
from keyauthority.domain.verdicts import Verdict
from keyauthority.keyring import FileKeyring
from keyauthority.storage import bootstrap
from keyauthority.storage.postgres import open_postgres
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import ManualClock, a_workspace
from tests.domain.parts import UseCases, an_actor
from tests.postgres import new_database
from tests.postgres import run_sql as run_on_postgres
from tests.storage.parts import run_sql
from tests.transactions import changing

FOREIGN = "pk_live_51H8xQ2eZvKYlo2C"
CERTIFICATE = "billing.example"

Alter = Callable[[str], Awaitable[None]]


@pytest.fixture(params=["sqlite", "postgres"])
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return tmp_path / "books.db" if request.param == "sqlite" else await new_database()


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


def opened(location: Location) -> Any:
    if isinstance(location, PostgresUrl):
        return open_postgres(location, ManualClock())
    return open_sqlite(location, ManualClock())


async def started(store: Any, keyring: Path) -> UseCases:
    """What a start gives."""
    ring = await bootstrap.open_keyring(store, keyring, keyring.with_name("root.token"))
    return UseCases(store, ring)


@pytest.fixture
async def cases(location: Location, keyring: Path) -> AsyncIterator[UseCases]:
    async with opened(location) as store:
        async with changing(store) as tx:
            for name in ("ws_1", "ws_2"):
                await tx.workspaces.insert(a_workspace(name))
        yield await started(store, keyring)


@pytest.fixture
def alter(location: Location) -> Alter:
    """Does what an attacker does, past the authority."""

    async def alter(statement: str) -> None:
        if isinstance(location, PostgresUrl):
            await run_on_postgres(location, statement.replace("x''", "''::bytea"))
        else:
            run_sql(location, statement)

    return alter


async def a_caller(cases: UseCases, **fields: Any) -> tuple[Caller, str]:
    new = NewCaller("billing", [Role.ISSUER], ["ws_1"], CERTIFICATE, **fields)
    caller, token = await cases.callers.create(an_actor(), new)
    return caller, token.reveal()


async def an_import(cases: UseCases) -> Key:
    [key] = await cases.take(an_actor(), FOREIGN)
    return key


async def mismatch(attempt: Awaitable[object]) -> KeyAuthorityError:
    with pytest.raises(KeyAuthorityError) as refused:
        await attempt
    assert refused.value.reason is Reason.KEYRING_MISMATCH
    return refused.value


async def test_unaltered(cases: UseCases) -> None:
    """What the authority wrote is believed."""
    caller, token = await a_caller(cases, acts_for_people=True)
    key = await an_import(cases)

    assert await cases.authenticating.by_token(token) == caller
    assert await cases.authenticating.by_certificate([CERTIFICATE]) == caller
    assert (await cases.verify(FOREIGN)).verdict is Verdict.VALID
    assert (await cases.finding.lookup(an_actor(), FOREIGN)).id == key.id


@pytest.mark.parametrize(
    "change",
    [
        "roles = 7",
        "workspace_ids = '[]'",
        """workspace_ids = '["ws_1", "ws_2"]'""",
        "acts_for_people = true",
        "name = 'root of all'",
        "create_time = create_time - 1",
        "token_hint = 'optk-svc-aaaa'",
        "seal = NULL",
        "seal = x''",
        "seal = (SELECT seal FROM callers WHERE name = 'root')",
        "seal = (SELECT seal FROM callers WHERE name = 'root'), roles = 7",
    ],
)
async def test_a_caller_altered(cases: UseCases, alter: Alter, change: str) -> None:
    """Neither its token nor its certificate is accepted; the caller isn't said to be unknown."""
    caller, token = await a_caller(cases)
    await alter(f"UPDATE callers SET {change} WHERE id = '{caller.id}'")

    for attempt in (
        cases.authenticating.by_token(token),
        cases.authenticating.by_certificate([CERTIFICATE]),
    ):
        refused = await mismatch(attempt)
        assert refused.metadata == {"caller_id": caller.id}
        assert "was altered in the database" in refused.message


async def test_a_certificate_given_to_another_caller(cases: UseCases, alter: Alter) -> None:
    """Whoever has a certificate doesn't become root by a name in a row."""
    await alter("UPDATE callers SET certificate_name = 'mine.example' WHERE name = 'root'")

    await mismatch(cases.authenticating.by_certificate(["mine.example"]))


async def test_a_token_given_to_another_caller(cases: UseCases, alter: Alter) -> None:
    """The row of a caller with a token that somebody knows, under root's name and roles."""
    caller, token = await a_caller(cases)
    await alter("UPDATE callers SET name = 'old root' WHERE name = 'root'")
    await alter(
        f"UPDATE callers SET name = 'root', roles = 7, workspace_ids = '[]' WHERE id = '{caller.id}'"
    )

    await mismatch(cases.authenticating.by_token(token))


async def test_a_revoked_caller_brought_back(cases: UseCases, alter: Alter) -> None:
    """Its revocation took its seal."""
    caller, token = await a_caller(cases)
    await cases.callers.revoke(an_actor(), caller.id)
    await alter(f"UPDATE callers SET revoke_time = NULL WHERE id = '{caller.id}'")

    await mismatch(cases.authenticating.by_token(token))
    await mismatch(cases.authenticating.by_certificate([CERTIFICATE]))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keys SET workspace_id = 'ws_2' WHERE id = '{imported}'",
        (
            "UPDATE imports SET key_id = '{other}'; UPDATE secrets SET key_id = '{other}' "
            "WHERE key_id = '{imported}'"
        ),
        "UPDATE secrets SET seal = NULL WHERE key_id = '{imported}'",
        "UPDATE secrets SET seal = x'' WHERE key_id = '{imported}'",
        "UPDATE secrets SET seal = (SELECT seal FROM callers WHERE name = 'root')",
    ],
)
async def test_an_imported_secret_moved(cases: UseCases, alter: Alter, change: str) -> None:
    """It acts for nobody, is found for nobody, and is not said to be unknown: it may be good."""
    imported = await an_import(cases)
    other, _ = await cases.issue(an_actor(), workspace_id="ws_2")
    for statement in change.format(imported=imported.id, other=other).split("; "):
        await alter(statement)

    refused = await mismatch(cases.verify(FOREIGN))
    assert set(refused.metadata) == {"key_id"}
    await mismatch(cases.finding.lookup(an_actor(), FOREIGN))
    await mismatch(cases.revoking_presented.revoke(an_actor(), FOREIGN, ""))


async def test_what_was_not_altered_goes_on(cases: UseCases, alter: Alter) -> None:
    """One altered row is no outage of the others."""
    caller, _ = await a_caller(cases)
    await an_import(cases)
    _, secret = await cases.issue(an_actor())
    await alter("UPDATE secrets SET seal = NULL")
    await alter(f"UPDATE callers SET roles = 7 WHERE id = '{caller.id}'")

    assert (await cases.verify(secret)).verdict is Verdict.VALID


async def test_rotating_updating_and_new_peppers_keep_it(cases: UseCases) -> None:
    """The seal is about whose secret it is, which none of them changes."""
    caller, token = await a_caller(cases)
    key = await an_import(cases)
    await cases.peppers.add(an_actor())
    await cases.peppers.activate(an_actor(), 2)
    await cases.rotate(an_actor(), key.id, overlap=ManualClock().now() - ManualClock().now())
    assert (await cases.verify(FOREIGN)).verdict is Verdict.REVOKED
    assert await cases.authenticating.by_token(token) == caller


class TestBooksFromBeforeThereWereSeals:
    """They are sealed once, by the first start with a keyring that hasn't sealed yet."""

    @pytest.fixture
    async def old(self, cases: UseCases, alter: Alter, keyring: Path) -> UseCases:
        """Books and a keyring as an older version left them."""
        FileKeyring(keyring, FileKeyring.load(keyring)._peppers)._save()
        await a_caller(cases)
        await an_import(cases)
        await alter("UPDATE callers SET seal = NULL")
        await alter("UPDATE secrets SET seal = NULL")
        return cases

    async def test_are_sealed(self, old: UseCases, keyring: Path) -> None:
        """Then everything is believed, by every process, and the keyring says so."""
        await mismatch(old.verify(FOREIGN))
        assert not FileKeyring.load(keyring).sealing

        again = await started(old.store, keyring)

        assert FileKeyring.load(keyring).sealing
        assert (await again.verify(FOREIGN)).verdict is Verdict.VALID
        assert (await old.verify(FOREIGN)).verdict is Verdict.VALID
        assert (await again.authenticating.by_certificate([CERTIFICATE])).name == "billing"

    async def test_are_not_sealed_again(self, old: UseCases, alter: Alter, keyring: Path) -> None:
        """Whoever takes the seals away doesn't get the next start to make new ones."""
        await started(old.store, keyring)
        await alter("UPDATE callers SET roles = 7, seal = NULL")
        await alter("UPDATE secrets SET seal = NULL")
        await alter("UPDATE compatibility SET usable_from = '0005'")

        again = await started(old.store, keyring)

        await mismatch(again.verify(FOREIGN))
        await mismatch(again.authenticating.by_certificate([CERTIFICATE]))

    async def test_many_imports(self, old: UseCases, alter: Alter, keyring: Path) -> None:
        """More than are sealed at a time."""
        secrets = [f"{FOREIGN}{n:04}" for n in range(bootstrap.SEALED_AT_ONCE + 1)]
        for some in (secrets[:600], secrets[600:]):
            await old.take(an_actor(), *some)
        await alter("UPDATE secrets SET seal = NULL")

        again = await started(old.store, keyring)

        answers = await again.verify_all([FOREIGN, *secrets])
        assert {answer.verdict for answer in answers} == {Verdict.VALID}
