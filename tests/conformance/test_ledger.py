"""The ledger of a workspace's credits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keyauthority.domain.auditing import Signature
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.credits.entering import read_sheet, read_sheets, write_sheet
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.ledger import Drawn, Entry, EntryFilter, Kind, Sums, Use, Written
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from tests.conformance.records import DAY, SECOND, START, ManualClock, a_workspace, undone
from tests.domain.parts import an_actor
from tests.postgres import open_postgres_in, run_sql
from tests.transactions import changing, reading

BY = Signature("clr_1", "Abrechnung", "LedgerService.TopUp", person_id="p_1", person_name="김하나")
BILLER = an_actor()
USE = Use("key_1", "gpt-5", "/v1/x", "req", {"input": 3, "output": 2**40}, "p1", 7, True, 200, "s")


async def top_up(store: Store, amount: int, name: str, workspace_id: str = "ws_1") -> None:
    async with changing(store) as tx:
        changed = await read_sheet(tx, workspace_id)
        grant = Grant(f"{workspace_id} {name}", amount, tx.time, expire_time=START + DAY)
        changed.grant(grant, Kind.GRANT, name, BY, "a note")
        await write_sheet(tx, changed)


async def charge(store: Store, amount: int, name: str, use: Use = USE) -> None:
    async with changing(store) as tx:
        changed = await read_sheet(tx, "ws_1")
        changed.reduce(Kind.CHARGE, amount, name, BY, use=use)
        await write_sheet(tx, changed)


async def account_of(tx: Transaction, workspace_id: str = "ws_1") -> tuple[Account, int]:
    return (await tx.ledger.accounts([workspace_id]))[workspace_id]


async def page(
    store: Store, which: EntryFilter | None = None, limit: int = 100, before: int | None = None
) -> list[Entry]:
    reading = ReadingLedger(Books(store, Unfenced()))
    return await reading.page(BILLER, which or EntryFilter("ws_1"), limit, before)


async def names(store: Store, which: EntryFilter) -> list[str]:
    return [entry.reference for entry in await page(store, which)]


async def test_a_workspace_begins_with_nothing(store: Store) -> None:
    async with reading(store) as tx:
        assert await account_of(tx) == (Account(0), 0)
        assert (await tx.ledger.grants(["ws_1"])).get("ws_1", []) == []
        assert await tx.ledger.sums("ws_1") == Sums()
    assert await page(store) == []


async def test_accounts_are_of_workspaces_that_exist(store: Store) -> None:
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    await top_up(store, 5, "purchase", "ws_2")

    async with changing(store) as tx:
        accounts = await tx.ledger.accounts(["ws_1", "ws_2", "ws_3"])
        assert accounts == {"ws_1": (Account(0), 0), "ws_2": (Account(5), 1)}
        assert list(await tx.ledger.grants(["ws_1", "ws_2", "ws_3"])) == ["ws_2"]


async def test_several_ledgers_are_written_at_once(store: Store) -> None:
    """And none takes what is another's."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    for name in ("ws_1", "ws_2"):
        await top_up(store, 5, "purchase", name)
    async with changing(store) as tx:
        sheets = await read_sheets(tx, ["ws_1", "ws_2", "ws_3"])
        for number, sheet in enumerate(sheets.values(), 1):
            sheet.reduce(Kind.CHARGE, number, "charge", BY, use=USE)
        await tx.ledger.write([sheet.to_write for sheet in sheets.values()])

    async with reading(store) as tx:
        assert await account_of(tx) == (Account(4), 2)
        assert await account_of(tx, "ws_2") == (Account(3), 2)
        assert await tx.ledger.sums("ws_2") == Sums(2, 3, 3)
        assert await tx.ledger.sum_up("ws_2", None, 2) == (2, 3)


async def test_what_is_written_comes_back(store: Store) -> None:
    """Every field of entries and grants, and the account in step with them."""
    await top_up(store, 10**17, "purchase")
    await charge(store, 5, "charge")

    charged, granted = await page(store)

    assert granted == Entry(
        workspace_id="ws_1",
        number=1,
        kind=Kind.GRANT,
        amount=10**17,
        balance=10**17,
        reference="purchase",
        time=START,
        subject="ws_1 purchase",
        note="a note",
        caller_id="clr_1",
        caller_name="Abrechnung",
        person_id="p_1",
        person_name="김하나",
    )
    assert charged == replace(
        granted,
        number=2,
        kind=Kind.CHARGE,
        amount=-5,
        balance=10**17 - 5,
        reference="charge",
        subject="",
        note="",
        use=USE,
    )
    async with reading(store) as tx:
        assert await account_of(tx) == (Account(10**17 - 5), 2)
        [grant] = (await tx.ledger.grants(["ws_1"]))["ws_1"]
        assert grant == Grant("ws_1 purchase", 10**17 - 5, START, expire_time=START + DAY)
        assert await tx.ledger.sums("ws_1") == Sums(2, *[10**17 - 5] * 2)
        assert await tx.ledger.sum_up("ws_1", None, 2) == (2, 10**17 - 5)


async def test_a_grant_that_is_used_up_is_still_there(store: Store) -> None:
    """But not among those that are drawn; and to no other workspace."""
    await top_up(store, 5, "purchase")
    await charge(store, 9, "charge")

    async with reading(store) as tx:
        assert (await tx.ledger.grants(["ws_1"])).get("ws_1", []) == []
        grant = await tx.ledger.grant("ws_1", "ws_1 purchase")
        assert grant is not None
        assert grant.remaining == 0
        assert await tx.ledger.grant("ws_2", "ws_1 purchase") is None
        assert await account_of(tx) == (Account(-4), 2)


async def test_a_reference_is_of_one_entry(store: Store) -> None:
    """A second entry under it is a mistake of ours, and undone whole."""
    await top_up(store, 5, "purchase")

    with pytest.raises(Exception, match=r"reference|unique|never changed"):
        await charge(store, 1, "purchase")

    async with reading(store) as tx:
        assert await account_of(tx) == (Account(5), 1)


async def test_slices_stand_in_the_account(store: Store) -> None:
    await top_up(store, 5, "purchase")
    async with changing(store) as tx:
        account, _ = await account_of(tx)
        await tx.ledger.write([Written("ws_1", replace(account, escrowed=3))])

    async with reading(store) as tx:
        assert await account_of(tx) == (Account(5, escrowed=3), 1)


async def test_an_undone_change_leaves_nothing(store: Store) -> None:
    async with undone(store) as tx:
        changed = await read_sheet(tx, "ws_1")
        changed.grant(Grant("g", 5, START), Kind.GRANT, "purchase", BY)
        await write_sheet(tx, changed)

    assert await page(store) == []
    async with reading(store) as tx:
        assert await account_of(tx) == (Account(0), 0)


async def test_pages_go_from_the_newest(store: Store) -> None:
    await top_up(store, 100, "0")
    for number in range(1, 5):
        await charge(store, number, str(number))

    first = await page(store, limit=2)
    rest = await page(store, limit=9, before=first[-1].number)

    assert [entry.reference for entry in (*first, *rest)] == ["4", "3", "2", "1", "0"]


async def test_filters(store: Store) -> None:
    """By kind, key, model, reference and time; never another workspace's."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    await top_up(store, 100, "purchase")
    await top_up(store, 100, "purchase", "ws_2")
    await charge(store, 1, "a", Use("key_1", "gpt-5"))
    await charge(store, 1, "b", Use("key_2", "gpt-5"))
    await charge(store, 1, "c", Use("key_2", "gpt-4"))

    def which(**fields: Any) -> EntryFilter:
        return replace(EntryFilter("ws_1"), **fields)

    assert await names(store, which(kind=Kind.CHARGE)) == ["c", "b", "a"]
    assert await names(store, which(key_id="key_2")) == ["c", "b"]
    assert await names(store, which(key_id="key_2", model="gpt-5")) == ["b"]
    assert await names(store, which(reference="purchase")) == ["purchase"]
    assert await names(store, which(start=START + DAY)) == []
    assert await names(store, which(start=START, end=START)) == []
    assert len(await names(store, which(start=START, end=START + DAY))) == 4
    async with reading(store) as tx:
        asked = [("ws_1", "a"), ("ws_1", "purchase"), ("ws_1", "nothing"), ("ws_2", "purchase")]
        by_reference = await tx.ledger.by_reference([*asked, ("ws_2", "a")])
        assert {name: entry.amount for name, entry in by_reference.items()} == {
            ("ws_1", "a"): -1,
            ("ws_1", "purchase"): 100,
            ("ws_2", "purchase"): 100,
        }


async def test_refunds_are_summed_by_what_they_return(store: Store) -> None:
    await top_up(store, 100, "purchase")
    await charge(store, 10, "a")
    for number, subject in enumerate(("a", "a", "b")):
        async with changing(store) as tx:
            changed = await read_sheet(tx, "ws_1")
            grant = Grant(f"refund {number}", 3, tx.time)
            changed.grant(grant, Kind.REFUND, f"refund {number}", BY)
            changed.written[-1] = replace(changed.written[-1], subject=subject)
            await write_sheet(tx, changed)

    async with reading(store) as tx:
        assert [await tx.ledger.sum_of("ws_1", Kind.REFUND, name) for name in "abc"] == [6, 3, 0]
        assert await tx.ledger.sum_of("ws_1", Kind.GRANT, "ws_1 purchase") == 100


async def test_changes_of_one_workspace_take_turns(store: Store) -> None:
    """Its first too, when there is no row to lock yet: no number is given twice, no credit lost."""
    await asyncio.gather(*(top_up(store, 1, str(number)) for number in range(8)))

    assert sorted(entry.number for entry in await page(store)) == list(range(1, 9))
    async with reading(store) as tx:
        assert await account_of(tx) == (Account(8), 8)
        assert await tx.ledger.sums("ws_1") == Sums(8, 8, 8)
        assert await tx.ledger.sum_up("ws_1", None, 8) == (8, 8)


@pytest.mark.parametrize("sign", [1, -1])
async def test_sums_that_64_bits_cannot_hold(store: Store, sign: int) -> None:
    """A database may sum entries in any order: so it may come by them, though no balance does."""
    amount = sign * (10**17 - 1)
    blank = Entry("ws_1", 1, Kind.ADJUSTMENT, amount, 0, "", START)
    new = [replace(blank, number=n, reference=str(n)) for n in range(1, 95)]
    grants = [Grant(str(n), 10**17 - 1, START) for n in range(94)]
    async with changing(store) as tx:
        await tx.ledger.write([Written("ws_1", Account(0), new, grants)])

    async with reading(store) as tx:
        assert await tx.ledger.sums("ws_1") == Sums(94, 0, 94 * abs(amount))
        assert await tx.ledger.sum_up("ws_1", None, 94) == (94, 94 * amount)
        assert await tx.ledger.sum_up("ws_1", 90, 93) == (3, 3 * amount)


async def test_what_was_drawn_is_kept(store: Store) -> None:
    """Twice of one entry is a mistake of ours, and undone whole."""
    await top_up(store, 3, "a")
    await top_up(store, 3, "b")
    async with changing(store) as tx:
        changed = await read_sheet(tx, "ws_1")
        changed.reduce(Kind.CHARGE, 5, "charge", BY)
        assert changed.drawn == [Drawn(3, "ws_1 a", 3), Drawn(3, "ws_1 b", 2)]
        await write_sheet(tx, changed)

    async with reading(store) as tx:
        drawn = await tx.ledger.drawn("ws_1", 3)
        assert {grant.id: (grant.remaining, amount) for grant, amount in drawn} == {
            "ws_1 a": (0, 3),
            "ws_1 b": (1, 2),
        }
        assert await tx.ledger.drawn("ws_1", 1) == await tx.ledger.drawn("ws_2", 3) == []


@pytest.mark.parametrize("opener", ["sqlite", "postgres"], indirect=True)
async def test_nothing_is_below_zero(store: Store) -> None:
    """What stands in slices, and what remains of a grant: the schema itself refuses."""
    await top_up(store, 3, "purchase")
    async with reading(store) as tx:
        [grant] = (await tx.ledger.grants(["ws_1"]))["ws_1"]
    for account, changed in (
        (Account(3, escrowed=-1), []),
        (Account(3), [replace(grant, remaining=-1)]),
    ):
        with pytest.raises(Exception, match=r"check|CHECK"):
            await write_rows(store, account, changed)


async def write_rows(store: Store, account: Account, changed: list[Grant]) -> None:
    async with changing(store) as tx:
        await tx.ledger.write([Written("ws_1", account, grants=changed)])


async def test_postgres_lets_nobody_change_an_entry(tmp_path: Path, clock: ManualClock) -> None:
    """As SQLite doesn't (`test_migrations`): the schema itself refuses."""
    async with open_postgres_in(tmp_path, clock) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
        await top_up(store, 3, "purchase")
        await charge(store, 1, "charge")
        url = (tmp_path / "postgres.url").read_text()
        for change in ("UPDATE {} SET amount = 0", "DELETE FROM {}", "TRUNCATE {}"):
            for table in ("credit_entries", "credit_draws"):
                with pytest.raises(asyncpg.RaiseError, match="never changed or deleted"):
                    await run_sql(url, change.format(table))


async def test_whose_credits_are_due(store: Store, clock: ManualClock) -> None:
    """Not of whom all that is left stands in slices, or is used up; in pages, by the last id."""
    async with changing(store) as tx:
        for name in ("ws_2", "ws_3", "ws_4"):
            await tx.workspaces.insert(a_workspace(name))
    for name in ("ws_1", "ws_2", "ws_4", "ws_3"):
        await top_up(store, 5, "purchase", name)
    await charge(store, 5, "charge")
    async with changing(store) as tx:
        await tx.ledger.write([Written("ws_2", Account(5, escrowed=5))])

    async with reading(store) as tx:
        assert await tx.ledger.due(START + DAY - SECOND, "", 9) == []
        assert await tx.ledger.due(START + DAY, "", 9) == ["ws_3", "ws_4"]
        assert await tx.ledger.due(START + DAY, "", 1) == ["ws_3"]
        assert await tx.ledger.due(START + DAY, "ws_3", 9) == ["ws_4"]
        assert await tx.ledger.due(START + DAY, "ws_4", 9) == []
