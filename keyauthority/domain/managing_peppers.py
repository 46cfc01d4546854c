"""Adding, activating and retiring pepper versions."""

from __future__ import annotations

from dataclasses import replace

from keyauthority.domain.books import ALONE, Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.peppers import Pepper, PepperState, active
from keyauthority.domain.ports import Keyring
from keyauthority.domain.repositories import Transaction


class ManagingPeppers:
    """Administers the pepper versions.

    No change here lets a secret act or stops it. Retiring deletes secrets that can't act any more:
    their verdict becomes `UNKNOWN`.
    """

    def __init__(self, books: Books, keyring: Keyring) -> None:
        self._books = books
        self._keyring = keyring

    async def all(self) -> list[tuple[Pepper, int]]:
        """Returns every version, oldest first, and how many credentials in force need it."""

        async def work(tx: Transaction) -> list[tuple[Pepper, int]]:
            uses = await tx.peppers.uses()
            return [(pepper, uses.get(pepper.version, 0)) for pepper in await tx.peppers.all()]

        return await self._books.read(work)

    async def add(self, actor: Actor) -> Pepper:
        """Adds the next version to the keyring and its fingerprint to the books.

        Raises `KeyAuthorityError`: `PEPPER_PENDING`, `KEYRING_UNWRITABLE`.
        """

        async def work(change: Change) -> Pepper:
            tx = change.tx
            peppers = await tx.peppers.to_change()
            newest = peppers[-1]
            if newest.state is PepperState.ADDED:
                raise _refusal(
                    Reason.PEPPER_PENDING, newest.version, "awaits activation: activate it first"
                )
            version = newest.version + 1
            # A crash may have left the version in the keyring but not in the books.
            if version not in self._keyring.versions():
                self._keyring.add(version)
            pepper = Pepper(version, PepperState.ADDED, self._keyring.fingerprint(version), tx.time)
            await tx.peppers.put(pepper)
            change.records(Fact(Action.PEPPER_ADDED), f"pepper_{version}")
            return pepper

        return await self._books.record(actor, work)

    async def activate(self, actor: Actor, version: int) -> tuple[Pepper, int]:
        """Makes new digests use *version*; returns it and how many credentials need it already.

        Raises `KeyAuthorityError`: `PEPPER_NOT_FOUND`, `PEPPER_RETIRED`, `KEYRING_MISMATCH`.
        """

        async def work(change: Change) -> tuple[Pepper, int]:
            tx = change.tx
            peppers = await tx.peppers.to_change()
            pepper = _find(peppers, version)
            if pepper.state is PepperState.RETIRED:
                raise _refusal(Reason.PEPPER_RETIRED, version, "is retired")
            if self._keyring.fingerprint(version) != pepper.fingerprint:
                why = "differs from the one in the keyring file"
                raise _refusal(Reason.KEYRING_MISMATCH, version, why)
            if pepper.state is not PepperState.ACTIVE:
                await tx.peppers.put(replace(active(peppers), state=PepperState.SUPERSEDED))
                pepper = replace(pepper, state=PepperState.ACTIVE)
                await tx.peppers.put(pepper)
                change.records(Fact(Action.PEPPER_ACTIVATED), f"pepper_{version}")
            return pepper, (await tx.peppers.uses()).get(version, 0)

        return await self._books.record(actor, work, size=ALONE)

    async def retire(self, actor: Actor, version: int) -> Pepper:
        """Retires a version that no credential in force needs; deletes the other credentials of it.

        Raises `KeyAuthorityError`: `PEPPER_NOT_FOUND`, `PEPPER_ACTIVE`, `PEPPER_IN_USE`.
        """

        async def work(change: Change) -> Pepper:
            tx = change.tx
            pepper = _find(await tx.peppers.to_change(), version)
            if pepper.state is PepperState.ACTIVE:
                raise _refusal(Reason.PEPPER_ACTIVE, version, "is active: activate another first")
            if in_use := (await tx.peppers.uses()).get(version, 0):
                raise _refusal(
                    Reason.PEPPER_IN_USE,
                    version,
                    f"is still needed by {in_use:,} secrets: rotate or revoke them first",
                    secrets=str(in_use),
                )
            if pepper.state is not PepperState.RETIRED:
                pepper = replace(pepper, state=PepperState.RETIRED)
                await tx.peppers.forget(version)
                await tx.peppers.put(pepper)
                change.records(Fact(Action.PEPPER_RETIRED), f"pepper_{version}")
            return pepper

        return await self._books.record(actor, work, size=ALONE)


def _find(peppers: list[Pepper], version: int) -> Pepper:
    for pepper in peppers:
        if pepper.version == version:
            return pepper
    raise _refusal(Reason.PEPPER_NOT_FOUND, version, "does not exist")


def _refusal(reason: Reason, version: int, why: str, **metadata: str) -> KeyAuthorityError:
    return KeyAuthorityError(
        reason, f"pepper version {version} {why}", version=str(version), **metadata
    )
