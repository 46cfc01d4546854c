"""The sample pages of signing in and of the list of keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console import words
from console.forms import Form
from console.pages.keys import Card, KeyQuery, Pages
from console.snippets import snippets
from keyauthority.client import Secret
from keyauthority.scopes.catalogue import default_catalogue
from tests.console.sample_data import (
    ACME,
    FORM,
    IMAGE,
    INSIDE,
    OUTSIDE,
    ROWS,
    SCRIPT,
    SECRET,
    WORKSPACE,
    Page,
    ahead,
    key,
)

CARDS = [
    Card(flag, *words.CARDS[flag], count, f"?flag={flag}", False)
    for flag, count in (("old_secret", 1), ("expiring", 1), ("unused", 4), ("never_expires", 12))
]
SORT = {name: f"?sort={name}" for name in ("name", "created", "used", "expires", "spent")}


def keys_page(**other: Any) -> dict[str, Any]:
    page = {
        "rows": ROWS,
        "cards": CARDS,
        "query": KeyQuery(),
        "sort_href": SORT,
        "pages": Pages(1, 1, 8, None, None),
        "truncated": False,
        "spent_known": True,
        "empty": "",
    }
    return INSIDE | page | other


def secret_page(**other: Any) -> dict[str, Any]:
    page = {
        "kind": "created",
        "key": key(1, "billing, production"),
        "secret": SECRET,
        "snippets": snippets("https://api.opentoken.kr/v1", Secret(SECRET)),
        "old_end_time": None,
        "receipt": None,
    }
    return INSIDE | page | other


NEW = INSIDE | {"catalogue": default_catalogue()}
FILLED = Form(
    values={
        "name": SCRIPT,
        "expires": "date",
        "expire_date": "2026-11-01",
        "access": "limited",
        "scopes": "chat write!",
    },
    errors={
        "name": "A key of this workspace has this name already. Choose another.",
        "expire_date": "This day has passed. Choose a later one.",
        "scopes": "“write!” is not a scope: use letters, digits and : . _ / * -",
    },
    problem="The key authority does not answer. Nothing was created; try again in a moment.",
)

KEYS: list[Page] = [
    Page("sign_in", "sign_in.html", OUTSIDE | {"form": FORM, "next": "", "oidc_name": "Acme SSO"}),
    Page(
        "sign_in_wrong",
        "sign_in.html",
        OUTSIDE
        | {
            "form": Form(
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
        keys_page(rows=[], cards=[], empty="no_match", query=KeyQuery(q=IMAGE, state="paused")),
    ),
    Page(
        "keys_many",
        "keys.html",
        keys_page(
            cards=[replace(card, active=card.flag == "unused") for card in CARDS],
            query=KeyQuery(sort="name", flag="unused"),
            pages=Pages(3, 40, 1000, "?page=2", "?page=4"),
            truncated=True,
            notice="The key is paused.",
        ),
    ),
    Page("keys_suspended", "keys.html", keys_page(workspace=replace(ACME, suspended=True))),
    Page("keys_viewer", "keys.html", keys_page(may=frozenset(), cards=[], spent_known=False)),
    Page("key_new", "key_new.html", NEW | {"form": FORM, "form_id": "r1"}),
    Page("key_new_wrong", "key_new.html", NEW | {"form": FILLED, "form_id": "r1"}),
    Page(
        "key_new_replacing",
        "key_new.html",
        NEW | {"form": Form(values={"name": "batch", "scopes": "chat:write"}), "form_id": "r1"},
    ),
    Page(
        "key_new_never",
        "key_new.html",
        NEW | {"form": Form(values={"name": "batch", "expires": "never"}), "form_id": "r1"},
    ),
    # Where no file of scopes is known.
    Page(
        "key_new_unlisted",
        "key_new.html",
        INSIDE | {"catalogue": (), "form": Form(values={"scopes": "ours:read"}), "form_id": "r1"},
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
