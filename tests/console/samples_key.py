"""The sample pages of one key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.forms import Form
from console.key_views import KeyDetails, KeyRow, SecretRow
from keyauthority.client.admin import KeySettings, Revocation, RevocationReason
from keyauthority.domain.keys import Who
from keyauthority.scopes.catalogue import default_catalogue
from tests.console.sample_data import (
    FORM,
    INSIDE,
    LONG,
    MINA,
    RECEIPT,
    ROWS,
    SCRIPT,
    WORKSPACE,
    Page,
    ago,
    ahead,
)


def details(row: KeyRow, **other: Any) -> KeyDetails:
    fields: dict[str, Any] = {name: getattr(row, name) for name in KeyRow.__dataclass_fields__}
    more: dict[str, Any] = {
        "settings": KeySettings(row.name, expire_time=row.expire_time),
        "secrets": [SecretRow(row.hint, row.create_time, None, ago(minutes=4), "current")],
        "revocation": None,
        "activity_href": "/a",
        "replace_href": WORKSPACE + "/keys/new?name=x",
        "entries_href": WORKSPACE + "/credits/entries?key=x",
    }
    return KeyDetails(**fields | more | other)


ROTATED = details(
    replace(ROWS[1], flags=["old_secret", "expiring"]),
    settings=KeySettings(
        "rotated",
        scopes=("chat:write", "models:read", "embeddings/" + "x" * 60),
        labels={"team": SCRIPT, "cost-centre": "4711"},
    ),
    secrets=[
        SecretRow("sk-optk-1074…n3Wq", ago(hours=3), None, ago(minutes=4), "current"),
        SecretRow("sk-optk-1074…w2Yz", ago(days=25), ahead(hours=21), ago(minutes=9), "ending"),
        SecretRow("sk-optk-1074…a0Bc", ago(days=99), ago(days=24), None, "ended"),
    ],
)
REVOKED = details(
    ROWS[6],
    revocation=Revocation(
        ago(hours=2),
        RevocationReason.COMPROMISED,
        f"Pasted into a ticket: {SCRIPT}",
        Who("person_2", "jun@acme.example"),
    ),
)


KEY = {"key": details(ROWS[0]), "form": FORM, "form_id": "r1"}

KEY_PAGES: list[Page] = [
    Page("key_made", "key_made.html", INSIDE | KEY),
    Page(
        "key",
        "key.html",
        INSIDE | KEY | {"notice": "The key is saved."},
    ),
    Page(
        "key_of_seoul",
        "key.html",
        INSIDE
        | KEY
        | {
            "me": replace(MINA, time_zone="Asia/Seoul"),
        },
    ),
    Page(
        "key_rotated",
        "key.html",
        INSIDE | {"key": ROTATED},
    ),
    Page(
        "key_paused",
        "key.html",
        INSIDE | {"key": details(ROWS[4])},
    ),
    Page(
        "key_gone",
        "key.html",
        INSIDE | {"key": REVOKED},
    ),
    Page(
        "key_edit",
        "key_edit.html",
        INSIDE
        | {
            "key": ROTATED,
            "catalogue": default_catalogue(),
            "midday": ROTATED.expire_time,
            "form": Form(
                values={
                    "name": LONG,
                    "expires": "date",
                    "expire_date": "2027-01-22",
                    "scopes": "chat:write",
                    "etag": "e",
                },
                problem="Somebody else changed this key meanwhile. Look at it and save again.",
            ),
        },
    ),
    Page("key_rotate", "key_rotate.html", INSIDE | KEY),
    Page("key_revoke", "key_revoke.html", INSIDE | KEY),
    Page(
        "key_revoke_wrong",
        "key_revoke.html",
        INSIDE
        | {
            "key": ROWS[2],
            "form": Form(
                values={"reason": "compromised", "note": ""},
                errors={"reason": "Choose one.", "note": "Say in a few words what happened."},
            ),
        },
    ),
    Page(
        "key_revoked",
        "key_revoked.html",
        INSIDE
        | {
            "key": REVOKED,
            "receipt": RECEIPT,
            "spreading": None,
            "leaked": True,
        },
    ),
    Page(
        "key_revoked_spreading",
        "key_revoked.html",
        INSIDE
        | {
            "key": REVOKED,
            "receipt": None,
            "spreading": "It is revoked, but one gateway has not confirmed yet. It stops by 12:40 at the latest.",
            "leaked": False,
        },
    ),
]
