"""People, workspaces and keys that were made up for the sample pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from console.forms import Form
from console.key_views import KeyRow
from console.people import Person
from console.visit import WorkspaceView

NOW = datetime(2026, 11, 25, 3, 39, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
LONG = "nightly-reconciliation-of-invoices-across-all-regions-" + "and-one-more-" * 3
SECRET = "sk-optk-Ab12Cd34Ef56Gh78Jk90LmNoPqRsTuVwXyZ0123456789abcdefWxYz"
WORKSPACE = "/workspaces/ws_4fQ0n2mB8sKd1xYz"


@dataclass(frozen=True, slots=True)
class Page:
    """A sample: `name` of the screenshot, the template and what it shows."""

    name: str
    template: str
    context: dict[str, Any]


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def ahead(**parts: float) -> datetime:
    return NOW + timedelta(**parts)


MINA = Person(
    id="person_7GhT2kLm9QwErTyU",
    email="mina.park@acme.example",
    name="Mina Park",
    administrator=True,
    time_zone="",
    create_time=ago(days=300),
    has_password=True,
)
MARKUP = replace(MINA, id="p2", name=SCRIPT, email=IMAGE, administrator=False, disabled=True)
JUN = replace(MINA, id="p3", name="Jun Kim", email="jun.kim@acme.example")
ACME = WorkspaceView("ws_4fQ0n2mB8sKd1xYz", "Acme", False, "owner")
OTHERS = [
    WorkspaceView("ws_2", "Acme staging", False, "member"),
    WorkspaceView("ws_9fQ0n2mB8sKd1xYz", "Acme", False, "member"),
    WorkspaceView("ws_3", IMAGE, True, "viewer"),
]
OWNER = frozenset(
    {
        "keys.change",
        "members.manage",
        "workspaces.administer",
    }
)
INSIDE: dict[str, Any] = {
    "me": MINA,
    "csrf": "c" * 43,
    "workspace": ACME,
    "other_workspaces": OTHERS,
    "may": OWNER,
    "request_id": "req_5sT9kQ2mB8sKd1xYz0aB",
    "section": "keys",
}
OUTSIDE: dict[str, Any] = {
    "csrf": "c" * 43,
    "proof": "0" * 64,
    "request_id": "req_5sT9kQ2mB8sKd1xYz0aB",
}


def key(number: int, name: str, state: str = "active", **other: Any) -> KeyRow:
    href = f"{WORKSPACE}/keys/key_{number:016}"
    row = KeyRow(
        id=f"key_{number:016}",
        name=name,
        hint=f"sk-optk-{1000 + number * 37}…w{number % 10}Yz",
        creator="mina.park@acme.example",
        create_time=ago(days=3 + number * 11),
        last_used_time=ago(minutes=4 * number**3),
        expire_time=ahead(days=60 - number),
        spent=1_234_567_890_123 // number**8,
        state=state,
        flags=[],
        href=href,
        rotate_href=href + "/rotate",
        revoke_href=href + "/revoke",
    )
    return replace(row, **other)


ROWS = [
    key(1, "billing, production"),
    key(2, LONG, flags=["old_secret"]),
    key(3, SCRIPT, expire_time=None, flags=["never_expires"], creator=IMAGE),
    key(4, "support bot", expire_time=ahead(days=9), flags=["expiring"]),
    key(5, "experiments", "paused", last_used_time=None, flags=["unused"]),
    key(6, "laptop of Jun", "expired", expire_time=ago(days=6)),
    key(7, "old crawler", "revoked", creator="jun@acme.example"),
    key(8, "검색 색인 야간 배치"),
]
FORM = Form()
RECEIPT = "Stopped everywhere in 12 ms. 3 verifiers confirmed."
BESIDE = {
    "me": MINA,
    "csrf": "c" * 43,
    "request_id": "req_5sT9kQ2mB8sKd1xYz0aB",
    "may": INSIDE["may"],
}
