"""Credits for tests: entered by the operator, read and changed in the console."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from console.paths import url
from keyauthority.domain.callers import authority
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.ledger import Kind, Use
from keyauthority.domain.ports import Store
from keyauthority.escrow.grants import Grant
from keyauthority.storage.sqlite import open_sqlite
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1.ledger_service_pb2_grpc import LedgerServiceStub
from tests.conformance.records import ManualClock
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.processes import eventually
from tests.transactions import changing

CREDIT = 10**9
_BY = authority("a test").signature


class Ledger:
    """The ledger of the workspace, as the operator has it."""

    def __init__(self, cast: Cast) -> None:
        self._operator = cast.console.edge.operator
        self._workspace = cast.workspace
        self._stub = LedgerServiceStub(self._operator.channel)

    def _call(self, method: Any, request: Any) -> Any:
        return method(request, metadata=self._operator.metadata, timeout=20)

    def top_up(self, amount: int = 10, purchase: str = "", note: str = "") -> v1.LedgerEntry:
        request = v1.TopUpRequest(
            workspace_id=self._workspace,
            amount_nano_credits=amount * CREDIT,
            purchase_id=purchase or f"order-{secrets.token_hex(6)}",
            note=note,
        )
        entry: v1.LedgerEntry = self._call(self._stub.TopUp, request).entry
        return entry

    def adjust(self, nano_credits: int, reason: str = "a mistake") -> v1.LedgerEntry:
        request = v1.AdjustRequest(
            workspace_id=self._workspace, amount_nano_credits=nano_credits, reason=reason
        )
        entry: v1.LedgerEntry = self._call(self._stub.Adjust, request).entry
        return entry

    def balance(self) -> int:
        request = v1.GetBalanceRequest(workspace_id=self._workspace)
        reply = self._call(self._stub.GetBalance, request)
        return int(reply.balance.balance_nano_credits)

    def entries(self) -> list[v1.LedgerEntry]:
        """The entries, newest first."""
        request = v1.ListEntriesRequest(workspace_id=self._workspace, page_size=1_000)
        return list(self._call(self._stub.ListEntries, request).entries)


def path_of(cast: Cast, page: str, query: str = "") -> str:
    return url(page, workspace=cast.workspace) + (f"?{query}" if query else "")


def rows(page: Shown) -> list[list[str]]:
    """The rows of the list of entries: kind, what it is for, and the amount."""
    found = []
    for table in page.page.all("table"):
        if "ledger" not in table.attributes["class"]:
            continue
        [body] = table.all("tbody")
        for row in body.all("tr"):
            heading, kind, _, amount, _ = [one for one in row.children if not isinstance(one, str)]
            title = next(one for one in heading if one.tag in ("a", "span")).text
            found.append([kind.text, title, amount.text])
    return found


def typed(browser: Visitor, path: str, **values: str) -> Shown:
    """The answer to the form at *path* with these values."""
    return browser.submit(browser.get(path), path, **values)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request cost, in nano-credits, and when."""

    cost: int
    use: Use
    ago: timedelta = timedelta()


async def granted(cast: Cast, purchase: str, amount: int, ago: timedelta) -> None:
    """Writes a top-up of a while ago into the books, as `charged` writes charges."""
    async with _books_of(cast) as (store, clock):
        clock.time = datetime.now(UTC) - ago
        async with changing(store) as tx:
            sheet = await read_sheet(tx, cast.workspace)
            grant = Grant(f"grant_{secrets.token_hex(8)}", amount, clock.time)
            sheet.grant(grant, Kind.GRANT, purchase, _BY)
            await write_sheet(tx, sheet)


async def charged(cast: Cast, *charges: Charge) -> None:
    """Writes charges into the books, for which the authority is stopped and started again."""
    async with _books_of(cast) as (store, clock):
        for charge in charges:
            clock.time = datetime.now(UTC) - charge.ago
            async with changing(store) as tx:
                sheet = await read_sheet(tx, cast.workspace)
                reference = f"charge-{secrets.token_hex(6)}"
                sheet.reduce(Kind.CHARGE, charge.cost, reference, _BY, use=charge.use)
                await write_sheet(tx, sheet)


@asynccontextmanager
async def _books_of(cast: Cast) -> AsyncIterator[tuple[Store, ManualClock]]:
    edge, clock = cast.console.edge, ManualClock()
    edge.authority.stop()
    try:
        async with open_sqlite(edge.data_dir / "keyauthority.db", clock) as store:
            yield store, clock
    finally:
        edge.recover_authority()
    browser = cast.console.visitor()
    eventually("the console is ready", lambda: browser.get("/readyz").status == 200)
