"""The sample pages of whoever comes by a link, of choosing a workspace, and of errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.forms import Form
from console.people import Link, LinkPurpose, Role
from tests.console.sample_data import (
    ACME,
    BESIDE,
    FORM,
    IMAGE,
    INSIDE,
    MINA,
    OTHERS,
    OUTSIDE,
    SCRIPT,
    Page,
    ago,
    ahead,
)

OIDC = {"oidc_name": "Acme SSO"}


INVITATION = Link(
    purpose=LinkPurpose.INVITATION,
    id="invitation_1",
    email="jun.kim@acme.example",
    workspace_id=ACME.id,
    role=Role.MEMBER,
    person_id="",
    invited_by=MINA.id,
    inviter_email=MINA.email,
    create_time=ago(hours=18),
    expire_time=ahead(days=6, hours=3),
)


def invitation(state: str, **other: Any) -> dict[str, Any]:
    page = {
        "invitation": INVITATION,
        "workspace_name": "Acme",
        "state": state,
        "form": FORM,
        "token": "t",
    }
    return OUTSIDE | page | other


ERROR = {"retry_href": None, "home_href": "/workspaces"}

LINKS: list[Page] = [
    Page("setup", "setup.html", OUTSIDE | OIDC | {"form": FORM, "token": "t"}),
    Page(
        "setup_wrong",
        "setup.html",
        OUTSIDE
        | {
            "form": Form(
                values={"email": IMAGE, "name": SCRIPT},
                errors={
                    "email": "This is not an e-mail address.",
                    "password": "Choose at least 12 characters.",
                },
            ),
            "token": "t",
        },
    ),
    Page("invitation_open", "invitation.html", invitation("open", **OIDC)),
    Page(
        "invitation_open_without_provider",
        "invitation.html",
        invitation(
            "open", workspace_name=SCRIPT, invitation=replace(INVITATION, inviter_email=IMAGE)
        ),
    ),
    Page("invitation_yours", "invitation.html", invitation("yours", me=MINA)),
    Page("invitation_other", "invitation.html", invitation("other", me=MINA)),
    Page(
        "recovery",
        "recovery.html",
        OUTSIDE | {"form": FORM, "email": "jun.kim@acme.example", "token": "t"},
    ),
    Page("link_invalid", "link_invalid.html", OUTSIDE),
    Page("workspaces", "workspaces.html", BESIDE | {"choices": [ACME, *OTHERS]}),
    Page("workspaces_none", "workspaces.html", BESIDE | {"choices": [], "may": frozenset()}),
    Page("workspaces_none_administrator", "workspaces.html", BESIDE | {"choices": []}),
    Page(
        "unavailable",
        "error.html",
        INSIDE
        | {
            "status": 503,
            "heading": "The key authority does not answer",
            "text": "Nothing is lost and nothing was changed. Keys that work go on working. Try again in a moment.",
            "retry_href": "/retry",
            "home_href": "/workspaces",
        },
    ),
    Page(
        "not_found",
        "error.html",
        OUTSIDE
        | ERROR
        | {
            "status": 404,
            "heading": "Not found",
            "text": "There is no such page, or it is not yours to see.",
        },
    ),
]
