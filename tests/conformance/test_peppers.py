"""Pepper versions and who needs them."""

from keyauthority.domain.keys import Key, Revocation, RevocationReason, StoredSecret
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Store
from tests.conformance.records import (
    MICROSECOND,
    START,
    ManualClock,
    a_caller,
    a_key,
    a_pepper,
    a_secret,
)
from tests.transactions import changing, reading

REVOCATION = Revocation(START, RevocationReason.UNUSED, "")


async def all_peppers(store: Store) -> list[Pepper]:
    async with reading(store) as tx:
        return await tx.peppers.all()


async def uses(store: Store) -> dict[int, int]:
    async with reading(store) as tx:
        return await tx.peppers.uses()


def with_peppers(key_id: str, *versions: int, **fields: object) -> Key:
    secrets = tuple(
        a_secret(f"{key_id} {n}".encode(), pepper_version=v) for n, v in enumerate(versions)
    )
    return a_key(key_id, secrets=secrets, **fields)


async def test_peppers_come_oldest_first(store: Store) -> None:
    """Versions are listed by number, whichever order they were added in."""
    peppers = [
        a_pepper(
            version, state=state, fingerprint=bytes([version]), create_time=START - MICROSECOND
        )
        for version, state in enumerate(PepperState, 9)
    ]
    async with changing(store) as tx:
        for pepper in reversed(peppers):
            await tx.peppers.put(pepper)

    assert await all_peppers(store) == peppers


async def test_a_pepper_is_replaced(store: Store) -> None:
    """Putting a version that is there changes it and no other."""
    async with changing(store) as tx:
        await tx.peppers.put(a_pepper(1))
        await tx.peppers.put(a_pepper(2))
    retired = a_pepper(1, state=PepperState.RETIRED, fingerprint=b"other")

    async with changing(store) as tx:
        await tx.peppers.put(retired)

    assert await all_peppers(store) == [retired, a_pepper(2)]


async def test_uses_of_nothing(store: Store) -> None:
    """Without credentials no version is in use."""
    assert await uses(store) == {}


async def test_uses_counts_credentials_in_force(store: Store, clock: ManualClock) -> None:
    """Secrets not ended of keys not revoked, and tokens of callers not revoked, and no others."""
    ends = (a_secret(b"a", end_time=START + MICROSECOND), a_secret(b"b", end_time=START))
    async with changing(store) as tx:
        await tx.keys.insert(with_peppers("key_1", 2, 1))
        await tx.keys.insert(with_peppers("key_2", 2, disabled=True, expire_time=START))
        await tx.keys.insert(with_peppers("key_3", 2, 3, revocation=REVOCATION))
        await tx.keys.insert(a_key("key_4", secrets=ends))
        await tx.callers.insert(a_caller("caller_1", pepper_version=1))
        await tx.callers.insert(a_caller("caller_2", pepper_version=4, revoke_time=START))
        await tx.callers.insert(a_caller("caller_3", pepper_version=5))

    assert await uses(store) == {1: 3, 2: 2, 5: 1}
    clock.time += MICROSECOND
    assert await uses(store) == {1: 2, 2: 2, 5: 1}


async def test_forgetting_a_version(store: Store) -> None:
    """The digests made with it are gone, of secrets and of tokens; all others stay."""
    secrets: tuple[StoredSecret, ...] = (a_secret(b"new", pepper_version=2), a_secret(b"old"))
    kept = with_peppers("key_2", 2)
    async with changing(store) as tx:
        await tx.keys.insert(a_key("key_1", secrets=secrets))
        await tx.keys.insert(kept)
        await tx.callers.insert(a_caller("caller_1", pepper_version=1, revoke_time=START))
        await tx.callers.insert(a_caller("caller_2", pepper_version=2))

    async with changing(store) as tx:
        await tx.peppers.forget(1)

    assert (await store.snapshot(["key_1", "key_2"])).keys == {
        "key_1": a_key("key_1", secrets=secrets[:1]),
        "key_2": kept,
    }
    async with reading(store) as tx:
        callers = await tx.callers.page(10, None)
    assert [caller.digest for caller in callers] == [b"digest", b""]
