"""For load balancers: whether the console is alive, and whether it can do its work."""

from __future__ import annotations

from console.people import StoreUnavailable
from console.visit import Visit
from keyauthority.base.http.answer import Answer


async def healthz(visit: Visit) -> Answer:
    """The process answers."""
    return visit.text(200, "ok")


async def readyz(visit: Visit) -> Answer:
    """Authority and books answer too, and it isn't stopping."""
    try:
        await visit.parts.books.accounts.any_administrator()
    except StoreUnavailable:
        return visit.text(503, "the console's books can't be read")
    if visit.request.client.leaving:
        return visit.text(503, "stopping")
    if not await visit.parts.authority.healthy():
        return visit.text(503, "the key authority doesn't answer")
    return visit.text(200, "ok")
