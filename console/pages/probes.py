"""For load balancers: whether the console lives, and whether it can serve."""

from __future__ import annotations

from console.people import StoreUnavailable
from console.visit import Visit
from keyauthority.base.http.answer import Answer


async def healthz(visit: Visit) -> Answer:
    """Says that the process lives."""
    return visit.text(200, "ok")


async def readyz(visit: Visit) -> Answer:
    """Says whether the authority and the database answer and the console isn't stopping."""
    try:
        await visit.parts.books.accounts.any_administrator()
    except StoreUnavailable:
        return visit.text(503, "the console's database doesn't answer")
    if visit.request.client.leaving:
        return visit.text(503, "stopping")
    if not await visit.parts.authority.healthy():
        return visit.text(503, "the key authority doesn't answer")
    return visit.text(200, "ok")
