"""Every page with made-up data: long names, markup, empty lists, errors beside fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.console import views, words
from gateway.console.snippets import snippets
from keyauthority.client import Secret

NOW = datetime(2026, 11, 25, 3, 39, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
LONG = "nightly-reconciliation-of-invoices-across-all-regions-" + "and-one-more-" * 3
SECRET = "sk-optk-Ab12Cd34Ef56Gh78Jk90LmNoPqRsTuVwXyZ0123456789abcdefWxYz"
WORKSPACE = "/workspaces/ws_4fQ0n2mB8sKd1xYz"


@dataclass(frozen=True, slots=True)
class Me:
    id: str = "person_7GhT2kLm9QwErTyU"
    email: str = "mina.park@acme.example"
    name: str = "Mina Park"
    time_zone: str = ""
    administrator: bool = True


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


ACME = views.WorkspaceView("ws_4fQ0n2mB8sKd1xYz", "Acme", False, "owner", WORKSPACE + "/keys")
OTHERS = [
    views.WorkspaceView("ws_2", "Acme staging", False, "member", "/workspaces/ws_2/keys"),
    views.WorkspaceView("ws_3", IMAGE, True, "viewer", "/workspaces/ws_3/keys"),
]
OWNER = frozenset(
    ["keys.create", "keys.edit", "keys.rotate", "keys.revoke", "members.manage"]
    + ["workspaces.administer"]
)
INSIDE: dict[str, Any] = {
    "me": Me(),
    "csrf": "c" * 43,
    "workspace": ACME,
    "other_workspaces": OTHERS,
    "may": OWNER,
    "request_id": "req_5sT9kQ2mB8sKd1xYz0aB",
    "section": "keys",
}
OUTSIDE: dict[str, Any] = {"csrf": "c" * 43, "request_id": "req_5sT9kQ2mB8sKd1xYz0aB"}


def key(number: int, name: str, state: str = "active", **other: Any) -> views.KeyRow:
    href = f"{WORKSPACE}/keys/key_{number:016}"
    row = views.KeyRow(
        id=f"key_{number:016}",
        name=name,
        hint=f"sk-optk-{1000 + number * 37}…w{number % 10}Yz",
        creator="mina.park@acme.example",
        create_time=ago(days=3 + number * 11),
        last_used_time=ago(minutes=4 * number**3),
        expire_time=ahead(days=60 - number),
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
CARDS = [
    views.Card(
        "old_secret",
        "rotated, old secret in use",
        "Replace it where it still runs.",
        1,
        "?flag=old_secret",
        False,
    ),
    views.Card(
        "expiring",
        "expiring within 14 days",
        "Give them more time, or replace them.",
        1,
        "?flag=expiring",
        False,
    ),
    views.Card(
        "unused", "unused for 90 days", "Revoke what nothing needs.", 4, "?flag=unused", False
    ),
    views.Card(
        "never_expires",
        "without an expiry",
        "Set one where you can.",
        12,
        "?flag=never_expires",
        False,
    ),
]
SORT = {name: f"?sort={name}" for name in ("name", "created", "used", "expires")}


def keys_page(**other: Any) -> dict[str, Any]:
    page = {
        "rows": ROWS,
        "cards": CARDS,
        "query": views.KeyQuery(),
        "sort_href": SORT,
        "pages": views.Pages(1, 1, 8, None, None),
        "truncated": False,
        "empty": "",
    }
    return INSIDE | page | other


def secret_page(**other: Any) -> dict[str, Any]:
    page = {
        "kind": "created",
        "key": key(1, "billing, production"),
        "secret": SECRET,
        "api_url": "https://api.opentoken.kr/v1",
        "snippets": snippets("https://api.opentoken.kr/v1", Secret(SECRET)),
        "old_end_time": None,
        "receipt": None,
        "stored_action": WORKSPACE + "/keys/key_1/stored",
    }
    return INSIDE | page | other


FORM = views.Form()
FILLED = views.Form(
    values={
        "name": SCRIPT,
        "expires": "date",
        "expire_date": "2026-11-01",
        "scopes": "chat write!",
    },
    errors={
        "name": "A key of this workspace has this name already. Choose another.",
        "expire_date": "This day has passed. Choose a later one.",
        "scopes": "“write!” is not a scope: use letters, digits and : . _ / * -",
    },
    problem="The key authority does not answer. Nothing was created; try again in a moment.",
)

PAGES: list[Page] = [
    Page("sign_in", "sign_in.html", OUTSIDE | {"form": FORM, "next": "", "oidc_name": "Acme SSO"}),
    Page(
        "sign_in_wrong",
        "sign_in.html",
        OUTSIDE
        | {
            "form": views.Form(
                values={"email": IMAGE},
                problem="This e-mail and password do not belong together. Try again.",
            ),
            "next": WORKSPACE,
        },
    ),
    Page(
        "sign_in_oidc_only",
        "sign_in.html",
        OUTSIDE
        | {
            "form": FORM,
            "next": "",
            "local_accounts": False,
            "oidc_name": "Acme SSO",
            "notice": "You are signed out.",
        },
    ),
    Page("keys", "keys.html", keys_page()),
    Page("keys_none", "keys.html", keys_page(rows=[], cards=[], empty="none")),
    Page(
        "keys_none_viewer", "keys.html", keys_page(rows=[], cards=[], empty="none", may=frozenset())
    ),
    Page(
        "keys_no_match",
        "keys.html",
        keys_page(
            rows=[], cards=[], empty="no_match", query=views.KeyQuery(q=IMAGE, state="paused")
        ),
    ),
    Page(
        "keys_many",
        "keys.html",
        keys_page(
            cards=[replace(card, active=card.flag == "unused") for card in CARDS],
            query=views.KeyQuery(sort="name", flag="unused"),
            pages=views.Pages(3, 40, 1000, "?page=2", "?page=4"),
            truncated=True,
            notice="The key is paused.",
        ),
    ),
    Page("keys_viewer", "keys.html", keys_page(may=frozenset(), cards=[])),
    Page("key_new", "key_new.html", INSIDE | {"form": FORM, "form_id": "r1"}),
    Page("key_new_wrong", "key_new.html", INSIDE | {"form": FILLED, "form_id": "r1"}),
    Page(
        "key_new_never",
        "key_new.html",
        INSIDE
        | {"form": views.Form(values={"name": "batch", "expires": "never"}), "form_id": "r1"},
    ),
    Page("key_secret", "key_secret.html", secret_page()),
    Page(
        "key_secret_rotated",
        "key_secret.html",
        secret_page(
            kind="rotated", key=replace(ROWS[1], expire_time=None), old_end_time=ahead(hours=24)
        ),
    ),
]
