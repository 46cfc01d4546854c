"""Prices after a restore from a backup: charges name them, so they come back under their ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Actor, operator
from keyauthority.domain.credits.pricing import SUBJECT, NewPrice, Prices
from keyauthority.domain.facts import Action
from keyauthority.domain.restoring import Replayed, Restoring
from keyauthority.pricing.prices import Rates
from tests.conformance.records import DAY, START, ManualClock, an_entry
from tests.domain.parts import UseCases, WatchedStore

RATES = Rates(*range(10**10 + 3, 10**10 + 15))


async def exported(cases: UseCases) -> list[AuditEntry]:
    return await cases.audit.page(AuditFilter(SUBJECT), 100, None)


async def restored(cases: UseCases, entries: Sequence[AuditEntry]) -> Replayed:
    _, replayed = await Restoring(cases.books).restore(operator("db restore-epoch"), entries)
    return replayed


async def test_a_price_set_since_the_backup_is_set_again(
    cases: UseCases, actor: Actor, clock: ManualClock
) -> None:
    """All of it, even if it counts since long ago; once, however often it is told of."""
    await Prices(cases.books).set(actor, [NewPrice("kept", "*", None, RATES)])
    entries_before = await exported(cases)
    lost, _ = await Prices(cases.books).set(
        actor,
        [NewPrice("gpt-5*", "/v1/*", START + DAY, RATES), NewPrice("a", "b", None, RATES)],
    )
    entries = await exported(cases)
    assert len(entries) == 3
    books = UseCases(WatchedStore(clock), cases.keyring)
    await Prices(books.books).set(actor, [NewPrice("kept", "*", None, RATES)])
    clock.time += timedelta(days=30)

    replayed = await restored(books, entries)

    assert (replayed.prices, replayed.missing) == (2, ())
    table = await Prices(books.books).page(9, None)
    assert [one for one in table if one.model.text != "kept"] == lost.prices
    again = await restored(books, [*entries, *await exported(books)])
    assert again.prices == 0
    assert entries_before[0].revision == 1


async def test_a_price_that_the_audit_tells_half_of(cases: UseCases) -> None:
    """It is listed: whoever set it sets it again."""
    entry = an_entry(
        action=Action.PRICE_SET, subject=SUBJECT, revision=9, details={"price": "price_1"}
    )

    replayed = await restored(cases, [entry])

    assert (replayed.prices, replayed.missing) == (0, ("price_1",))
