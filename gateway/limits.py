"""What a client of the gateway may send and hold, and how long the gateway waits."""

from __future__ import annotations

from dataclasses import dataclass

from keyauthority.base.http import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(limits.Limits):
    """What one client may send and hold. Sizes are bytes, times seconds."""

    # Bytes a second that a request body must average; less is answered 408. 0 asks for none.
    min_body_rate: int = 240

    # For how long the gateway waits for the client, all in all, before that average counts.
    body_rate_grace: float = 10.0

    # Requests of one key that are under way at a time; the next one is answered 429.
    max_requests_per_key: int = 1024

    # Refused secrets a minute from one client address before further unknown secrets from there
    # are answered 429. 0 switches it off, as is right behind a proxy that hides who the client is.
    max_refusals: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the gateway waits for its neighbours, and for its own end. Seconds."""

    # To connect to the upstream; then 504.
    connect_timeout: float = 5.0

    # Without progress, from sending the request to the upstream's headers; then 504.
    first_byte_timeout: float = 600.0

    # The longest silence of the upstream within a response, and of a client that does not read.
    idle_timeout: float = 300.0

    # A request runs on for so long without a verdict on its key, which changed, if such requests
    # are to be cut. Hardly longer than a verdict from memory might have been acted upon.
    doubt_timeout: float = 4.0

    # Between the signal to stop and the end of accepting connections; /readyz says no meanwhile.
    drain_delay: float = 0.0

    # For requests under way at the stop, before they are cut off.
    grace: float = 30.0
