"""One request at the edge, and what has become of it so far."""

from __future__ import annotations

from gateway.envelope import Refusal
from keyauthority.base.http.request import Request
from keyauthority.client import VerifiedKey


class EdgeRequest(Request):
    """A request as its client sent it, and what the gateway learnt about it."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = Request.ATTRS | frozenset({"cut", "key", "outcome"})

    # The key behind the presented secret, once known.
    key: VerifiedKey | None = None
    # How it ended, for log and metrics: see `gateway.metrics.OUTCOMES`.
    outcome = ""
    # Set when it is cancelled because its key died, to what the client is to be told.
    cut: Refusal | None = None
