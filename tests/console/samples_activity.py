"""The sample pages of who did what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.activity_entries import EntryRow
from console.forms import Form
from tests.console.sample_data import (
    FORM,
    IMAGE,
    INSIDE,
    LONG,
    SCRIPT,
    WORKSPACE,
    Page,
    ago,
)


def entry(minutes: int, sentence: str, subject: str, **other: Any) -> EntryRow:
    row = EntryRow(
        time=ago(minutes=minutes),
        who="mina.park@acme.example",
        via="console",
        sentence=sentence,
        subject=subject,
        subject_href=WORKSPACE + "/keys/key_1",
        source="203.0.113.7",
        request_id="req_5sT9kQ2mB8sKd1xYz0aB",
        details=[("Expires", "from 25 Nov 2026 to never")],
        refused=False,
        revision=8123,
    )
    return replace(row, **other)


ENTRIES = [
    entry(4, "created the key", "billing, production"),
    entry(
        190,
        "revoked the key",
        SCRIPT,
        details=[("Reason", "It leaked, or may have"), ("Note", IMAGE)],
    ),
    entry(1500, "changed the key", LONG, refused=True),
    entry(
        3000,
        "issued the key",
        "nightly",
        who="provisioner (a service)",
        via="",
        subject_href=None,
        details=[],
    ),
]


def activity(**other: Any) -> dict[str, Any]:
    page = {
        "section": "activity",
        "tab": "keys",
        "entries": ENTRIES,
        "form": FORM,
        "actions": [("create", "Create a key"), ("revoke", "Revoke a key")],
        "people": [("person_1", "mina.park@acme.example"), ("person_2", IMAGE)],
        "next_href": "?before=8000",
    }
    return INSIDE | page | other


ACTIVITY: list[Page] = [
    Page("activity", "activity.html", activity()),
    Page("activity_people", "activity.html", activity(tab="people", next_href=None)),
    Page("activity_none", "activity.html", activity(entries=[], next_href=None)),
    Page(
        "activity_wrong",
        "activity.html",
        activity(entries=[], next_href=None, form=Form(errors={"from": "This is not a day."})),
    ),
]
