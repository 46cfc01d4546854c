"""The sample pages of the members of a workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console import views
from console.forms import Form
from tests.console.sample_data import (
    FORM,
    IMAGE,
    INSIDE,
    RECEIPT,
    ROWS,
    SCRIPT,
    WORKSPACE,
    Page,
    ago,
    ahead,
)


def member(number: int, name: str, role: str, **other: Any) -> views.MemberRow:
    href = f"{WORKSPACE}/members/person_{number}"
    row = views.MemberRow(
        id=f"person_{number}",
        name=name,
        email=f"person{number}@acme.example",
        role=role,
        since=ago(days=number * 20),
        is_me=False,
        only_owner=False,
        remove_href=href + "/remove",
        role_action=href + "/role",
    )
    return replace(row, **other)


MEMBERS = [
    member(1, "Mina Park", "owner", is_me=True, only_owner=True),
    member(2, SCRIPT, "member"),
    member(
        3,
        "Maximiliane von und zu Hohenstein-Wallersbach",
        "viewer",
        email="m" * 60 + "@acme.example",
    ),
]
INVITATIONS = [
    views.InvitationRow(
        "inv_1",
        "jun.kim@acme.example",
        "member",
        "mina.park@acme.example",
        ago(days=1),
        ahead(days=6),
        "/w",
    ),
    views.InvitationRow("inv_2", IMAGE, "viewer", IMAGE, ago(days=6), ahead(hours=5), "/w"),
]


def members(**other: Any) -> dict[str, Any]:
    page = {"section": "members", "members": MEMBERS, "invitations": INVITATIONS, "form": FORM}
    return INSIDE | page | other


MEMBER_PAGES: list[Page] = [
    Page("members", "members.html", members()),
    Page("members_viewer", "members.html", members(may=frozenset(), invitations=[])),
    Page(
        "members_wrong",
        "members.html",
        members(
            form=Form(
                values={"email": IMAGE, "role": "viewer"},
                errors={"email": "They are a member already."},
            )
        ),
    ),
    Page(
        "invited",
        "invited.html",
        INSIDE
        | {
            "section": "members",
            "link": "https://console.opentoken.kr/invitations/" + "aB3_" * 11,
            "email": "jun.kim@acme.example",
            "role": "member",
            "expire_time": ahead(days=7),
        },
    ),
    Page(
        "member_remove",
        "member_remove.html",
        INSIDE
        | {
            "section": "members",
            "member": MEMBERS[1],
            "keys": ROWS[:4],
            "ticked": {row.id for row in ROWS[:3]},
            "truncated": True,
            "itself": False,
            "form": FORM,
        },
    ),
    Page(
        "member_leave",
        "member_remove.html",
        INSIDE
        | {
            "section": "members",
            "member": MEMBERS[0],
            "keys": [],
            "ticked": set(),
            "truncated": False,
            "itself": True,
            "form": FORM,
        },
    ),
    Page(
        "member_removed",
        "member_removed.html",
        INSIDE
        | {
            "section": "members",
            "member": MEMBERS[1],
            "revoked": ROWS[:2],
            "remaining": ROWS[2:4],
            "receipt": RECEIPT,
        },
    ),
]
