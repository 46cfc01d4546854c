"""Credits for tests: entered by the operator, read and changed in the console."""

from __future__ import annotations

import secrets
from typing import Any

from console.paths import url
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1.ledger_service_pb2_grpc import LedgerServiceStub
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown, Visitor

CREDIT = 10**9


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
