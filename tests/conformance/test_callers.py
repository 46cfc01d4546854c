"""Callers."""

from dataclasses import replace

import pytest

from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Store
from tests.conformance.records import MICROSECOND, START, a_caller
from tests.transactions import changing, reading

ADMIN = frozenset({Role.ADMIN})


async def put(store: Store, *callers: Caller) -> None:
    async with changing(store) as tx:
        for caller in callers:
            await tx.callers.insert(caller)


@pytest.mark.parametrize(
    "roles", [frozenset(), frozenset(Role), *(frozenset({role}) for role in Role)]
)
async def test_a_caller_comes_back_as_it_went(store: Store, roles: frozenset[Role]) -> None:
    """Every field survives, and any set of roles."""
    caller = a_caller(
        name="Bücher 'n",
        roles=roles,
        workspace_ids=("ws_b", "ws_a"),
        certificate_name="billing.example",
        digest=bytes(range(32)),
        pepper_version=3,
        create_time=START + MICROSECOND,
        revoke_time=START - MICROSECOND,
        acts_for_people=True,
        seal=bytes(range(36)),
    )
    await put(store, caller)

    async with reading(store) as tx:
        assert await tx.callers.get(caller.id) == caller
        assert await tx.callers.get("caller_9") is None
    assert await store.caller(caller.id) == caller


async def test_an_update_replaces_one_caller(store: Store) -> None:
    """A revocation is kept, the others stay as they were."""
    await put(store, a_caller("caller_1"), a_caller("caller_2"))
    revoked = a_caller("caller_1").revoked(START + MICROSECOND)

    async with changing(store) as tx:
        await tx.callers.update(revoked)

    async with reading(store) as tx:
        assert await tx.callers.page(10, None) == [a_caller("caller_2"), revoked]


async def test_by_name(store: Store) -> None:
    """A name leads to the caller in force, not to revoked ones, and case matters."""
    await put(
        store,
        a_caller("caller_1", name="billing", revoke_time=START),
        a_caller("caller_2", name="billing"),
        a_caller("caller_3", name="gone", revoke_time=START),
    )

    async with reading(store) as tx:
        assert await tx.callers.by_name("billing") == a_caller("caller_2", name="billing")
        assert await tx.callers.by_name("gone") is None
        assert await tx.callers.by_name("Billing") is None


async def test_by_certificate(store: Store) -> None:
    """Any of the names of a certificate leads to the caller in force; no name leads nowhere."""
    known = a_caller("caller_2", certificate_name="b.example")
    await put(
        store,
        a_caller("caller_1", certificate_name="a.example", revoke_time=START),
        known,
        a_caller("caller_3"),
    )

    async with reading(store) as tx:
        assert await tx.callers.by_certificate(["x.example", "b.example"]) == known
        assert await tx.callers.by_certificate(["a.example"]) is None
        assert await tx.callers.by_certificate([""]) is None
        assert await tx.callers.by_certificate([]) is None


async def test_pages(store: Store) -> None:
    """Revoked or not, newest first, ties by id downwards, page after page."""
    await put(
        store,
        a_caller("caller_1"),
        a_caller("caller_2", revoke_time=START),
        a_caller("caller_0", create_time=START + MICROSECOND),
    )

    async with reading(store) as tx:
        first = await tx.callers.page(2, None)
        rest = await tx.callers.page(2, (START, "caller_2"))

    assert [caller.id for caller in first] == ["caller_0", "caller_2"]
    assert [caller.id for caller in rest] == ["caller_1"]


async def test_admins_in_force_are_counted(store: Store) -> None:
    """Other roles, and revoked admins, don't count."""
    await put(
        store,
        a_caller("caller_1", roles=frozenset({Role.VERIFIER, Role.ISSUER})),
        a_caller("caller_2", roles=frozenset(Role)),
        a_caller("caller_3", roles=ADMIN),
        a_caller("caller_4", roles=ADMIN, revoke_time=START),
    )

    async with changing(store) as tx:
        assert await tx.callers.admins() == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "billing"}, Reason.CALLER_NAME_TAKEN),
        ({"certificate_name": "b.example"}, Reason.CERTIFICATE_NAME_TAKEN),
    ],
)
async def test_names_are_unique_among_callers_in_force(
    store: Store, fields: dict[str, str], reason: Reason
) -> None:
    """A name is refused while a caller in force bears it, and free once that is revoked."""
    first, second = a_caller("caller_1", **fields), a_caller("caller_2", **fields)
    await put(store, first)

    with pytest.raises(KeyAuthorityError) as refusal:
        await put(store, second)
    async with changing(store) as tx:
        await tx.callers.update(first.revoked(START))
    await put(store, second)

    assert refusal.value.reason is reason
    assert refusal.value.metadata == fields
    assert await store.caller("caller_2") == second


async def test_many_callers_without_a_certificate(store: Store) -> None:
    """Having no certificate name is nothing that two callers could share."""
    callers = [a_caller(f"caller_{n}", certificate_name="") for n in range(3)]

    await put(store, *callers)

    assert [await store.caller(caller.id) for caller in callers] == callers


async def test_revoked_callers_share_a_name(store: Store) -> None:
    """Any number of revoked callers may have borne one name."""
    await put(
        store,
        *(
            a_caller(f"caller_{n}", name="billing", certificate_name="b", revoke_time=START)
            for n in range(3)
        ),
        a_caller("caller_9", name="billing", certificate_name="b"),
    )

    async with changing(store) as tx:
        last = await tx.callers.by_name("billing")
        assert last is not None
        await tx.callers.update(replace(last, revoke_time=START))
        assert await tx.callers.by_name("billing") is None


async def test_those_that_were_never_sealed(store: Store) -> None:
    """Neither sealed ones nor revoked ones, whose seal is taken."""
    old = a_caller("caller_1")
    await put(
        store,
        old,
        a_caller("caller_2", seal=b"seal"),
        a_caller("caller_3", seal=b""),
        a_caller("caller_4", revoke_time=START),
    )

    async with changing(store) as tx:
        assert await tx.callers.never_sealed() == [old]
        await tx.callers.update(replace(old, seal=b"seal"))
    async with reading(store) as tx:
        assert await tx.callers.never_sealed() == []
    assert await store.caller(old.id) == replace(old, seal=b"seal")
