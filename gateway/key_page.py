"""`GET /v1/key`: what a key is told about itself."""

from __future__ import annotations

import json
from datetime import datetime

from aiohttp import hdrs
from multidict import CIMultiDict

from keyauthority.base.http.answer import Answer
from keyauthority.client import VerifiedKey
from keyauthority.pricing import amounts

PATH = "/v1/key"
METHODS = frozenset({"GET", "HEAD"})

_SUCCESS = 200


def key_answer(key: VerifiedKey, available: int | None) -> Answer:
    """Returns what *key* is, and what is *available* to it in nano-credits; None: nobody bills it."""
    facts: dict[str, object] = {
        "id": key.id,
        "workspace_id": key.workspace_id,
        "name": key.name,
        "scopes": key.scopes,
        "expire_time": None if key.expire_time is None else _written(key.expire_time),
    }
    if available is not None:
        facts["available"] = amounts.write(available)
        # As a text: many readers of JSON have no integers of this size.
        facts["available_nano_credits"] = str(available)
    headers = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"})
    return Answer(_SUCCESS, headers, json.dumps(facts).encode())


def _written(time: datetime) -> str:
    # As in RFC 3339.
    return time.isoformat().replace("+00:00", "Z")
