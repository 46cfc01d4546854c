"""Request ids: the label by which one request is found in every log it touched."""

import re
from random import getrandbits

HEADER = "x-request-id"
_SANE = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)


def request_id(presented: str | None) -> str:
    """Return *presented* if it is a sane id, else a fresh one.

    An id chosen in front of the gateway is kept, because it is what the load balancer logged;
    it labels, and decides nothing. Sane is up to 64 letters, digits, dots, dashes, underscores,
    but not a key that somebody put there.
    """
    if presented is not None and _SANE.fullmatch(presented) and "optk-" not in presented:
        return presented
    return f"req_{getrandbits(96):024x}"
