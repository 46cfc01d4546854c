"""The sample pages of one person, and of administrators."""

from __future__ import annotations

from typing import Any

from console import views
from console.forms import Form
from tests.console.sample_data import (
    BESIDE,
    FORM,
    IMAGE,
    LONG,
    RECEIPT,
    SCRIPT,
    Page,
    ago,
)

ADMINISTERED = [
    views.WorkspaceRow(
        "ws_4fQ0n2mB8sKd1xYz", "Acme", False, ago(days=300), 3, True, "/k", "/s", "/r", "/j"
    ),
    views.WorkspaceRow(
        "ws_9aB1n2mB8sKd1xYz", SCRIPT, True, ago(days=20), 0, False, "/k", "/s", "/r", "/j"
    ),
    views.WorkspaceRow(
        "ws_8aB1n2mB8sKd1xYz", LONG, False, ago(days=2), 12, False, "/k", "/s", "/r", "/j"
    ),
]
PEOPLE = [
    views.PersonRow(
        "p1", "Mina Park", "mina.park@acme.example", True, False, 3, True, "/a", "/r", "/s", "/d"
    ),
    views.PersonRow("p2", SCRIPT, IMAGE, False, True, 0, False, "/a", "/r", "/s", "/d"),
    views.PersonRow(
        "p3", "Jun Kim", "jun.kim@acme.example", True, False, 1, False, "/a", "/r", "/s", "/d"
    ),
]
SESSIONS = [
    views.SessionRow(
        "s1",
        True,
        "Firefox 143 on Linux",
        "203.0.113.7",
        ago(days=1),
        ago(minutes=1),
        "password",
        "/e",
    ),
    views.SessionRow(
        "s2", False, SCRIPT, "2001:db8:85a3::8a2e:370:7334", ago(days=3), ago(hours=9), "oidc", "/e"
    ),
]


def account(**other: Any) -> dict[str, Any]:
    page = {
        "section": "account",
        "profile": Form(values={"name": "Mina Park", "time_zone": "Asia/Seoul"}),
        "password": FORM,
        "sessions": SESSIONS,
        "time_zones": ["Asia/Seoul", "Europe/Berlin", "UTC"],
        "oidc_name": "Acme SSO",
    }
    return BESIDE | page | other


ADMINISTRATION = BESIDE | {
    "section": "administration",
    "next_href": None,
    "form": FORM,
    "form_id": "r1",
}

ACCOUNT: list[Page] = [
    Page("account", "account.html", account()),
    Page(
        "account_wrong",
        "account.html",
        account(
            password=Form(errors={"current_password": "This is not your password."}),
            profile=Form(values={"name": SCRIPT}, errors={"time_zone": "Choose one of the list."}),
        ),
    ),
    Page("administration", "administration.html", ADMINISTRATION | {"workspaces": ADMINISTERED}),
    Page(
        "administration_none",
        "administration.html",
        ADMINISTRATION | {"workspaces": [], "form": Form(errors={"name": "Give it a name."})},
    ),
    Page(
        "administration_people",
        "administration_people.html",
        ADMINISTRATION | {"people": PEOPLE, "next_href": "?after=p3"},
    ),
    Page(
        "workspace_suspend", "workspace_suspend.html", ADMINISTRATION | {"subject": ADMINISTERED[0]}
    ),
    Page(
        "workspace_suspended",
        "workspace_changed.html",
        ADMINISTRATION | {"subject": ADMINISTERED[0], "what": "suspended", "receipt": RECEIPT},
    ),
    Page(
        "recovery_link",
        "recovery_link.html",
        ADMINISTRATION
        | {"person": PEOPLE[2], "link": "https://console.opentoken.kr/recovery/" + "aB3_" * 11},
    ),
]
