"""The sample pages of one person, and of administrators."""

from __future__ import annotations

from typing import Any

from console.forms import Form
from console.pages.account import browser
from console.people import Session
from keyauthority.client.admin import Workspace
from tests.console.sample_data import (
    BESIDE,
    FORM,
    JUN,
    LONG,
    MARKUP,
    MINA,
    RECEIPT,
    SCRIPT,
    Page,
    ago,
    ahead,
)

ADMINISTERED = [
    Workspace("ws_4fQ0n2mB8sKd1xYz", "Acme", False, ago(days=300), ago(days=300), ""),
    Workspace("ws_9aB1n2mB8sKd1xYz", SCRIPT, True, ago(days=20), ago(days=20), ""),
    Workspace("ws_8aB1n2mB8sKd1xYz", LONG, False, ago(days=2), ago(days=2), ""),
]
PEOPLE = [MINA, MARKUP, JUN]


def session(number: int, address: str, agent: str, method: str) -> Session:
    began, used = ago(days=number), ago(hours=number)
    return Session(f"s{number}", MINA, began, used, ahead(days=7), address, agent, method)


SESSIONS = [
    session(1, "203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0", "password"),
    session(3, "2001:db8:85a3::8a2e:370:7334", SCRIPT.replace(" ", ""), "oidc"),
]


def account(**other: Any) -> dict[str, Any]:
    page = {
        "section": "account",
        "profile": Form(values={"name": "Mina Park", "time_zone": "Asia/Seoul"}),
        "password": FORM,
        "sessions": SESSIONS,
        "current_id": "s1",
        "browser": browser,
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
    Page(
        "administration",
        "administration.html",
        ADMINISTRATION
        | {
            "workspaces": ADMINISTERED,
            "members": {row.id: 6 * number for number, row in enumerate(ADMINISTERED)},
            "mine": {ADMINISTERED[0].id},
        },
    ),
    Page(
        "administration_none",
        "administration.html",
        ADMINISTRATION | {"workspaces": [], "form": Form(errors={"name": "Give it a name."})},
    ),
    Page(
        "administration_people",
        "administration_people.html",
        ADMINISTRATION
        | {
            "people": PEOPLE,
            "workspaces": {person.id: number for number, person in enumerate(PEOPLE)},
            "next_href": "?after=p3",
        },
    ),
    Page(
        "workspace_suspend",
        "workspace_suspend.html",
        ADMINISTRATION | {"id": "ws_1", "name": "Acme"},
    ),
    Page(
        "workspace_suspended",
        "workspace_changed.html",
        ADMINISTRATION | {"name": "Acme", "what": "suspended", "receipt": RECEIPT},
    ),
    Page(
        "recovery_link",
        "recovery_link.html",
        ADMINISTRATION
        | {"person": PEOPLE[2], "link": "https://console.opentoken.kr/recovery/" + "aB3_" * 11},
    ),
]
