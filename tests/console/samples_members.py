"""The sample pages of the members of a workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.forms import Form
from console.people import Link, LinkPurpose, Member, Role
from tests.console.sample_data import (
    ACME,
    FORM,
    IMAGE,
    INSIDE,
    JUN,
    MARKUP,
    MINA,
    RECEIPT,
    ROWS,
    Page,
    ago,
    ahead,
)

LONG_NAME = replace(
    JUN, name="Maximiliane von und zu Hohenstein-Wallersbach", email="m" * 60 + "@acme.example"
)
MEMBERS = [
    Member(MINA, Role.OWNER, ago(days=20)),
    Member(MARKUP, Role.MEMBER, ago(days=40)),
    Member(LONG_NAME, Role.VIEWER, ago(days=60)),
]
INVITATION = Link(
    purpose=LinkPurpose.INVITATION,
    id="inv_1",
    workspace_id=ACME.id,
    email="jun.kim@acme.example",
    role=Role.MEMBER,
    person_id="",
    invited_by=MINA.id,
    inviter_email=MINA.email,
    create_time=ago(days=1),
    expire_time=ahead(days=6),
)
INVITATIONS = [
    INVITATION,
    replace(INVITATION, id="inv_2", email=IMAGE, role=Role.VIEWER, inviter_email=IMAGE),
]


def members(**other: Any) -> dict[str, Any]:
    page = {
        "section": "members",
        "members": MEMBERS,
        "invitations": INVITATIONS,
        "form": FORM,
        "only_owner": MINA.id,
    }
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
            "invitation": INVITATION,
        },
    ),
    Page(
        "member_remove",
        "member_remove.html",
        INSIDE
        | {
            "section": "members",
            "person": MARKUP,
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
            "person": MINA,
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
            "person": MARKUP,
            "revoked": ROWS[:2],
            "remaining": ROWS[2:4],
            "receipt": RECEIPT,
        },
    ),
]
