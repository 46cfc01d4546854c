"""The sample pages beyond signing in and the list of keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.console import views
from gateway.console.forms import Form
from gateway.console.people import Link, LinkPurpose, Role
from tests.console.sample_data import (
    ACME,
    FORM,
    IMAGE,
    INSIDE,
    LONG,
    MINA,
    OTHERS,
    OUTSIDE,
    ROWS,
    SCRIPT,
    WORKSPACE,
    Page,
    ago,
    ahead,
)

ACTION = "/invitations/token"
RECEIPT = views.Receipt("Stopped everywhere in 12 ms. 3 verifiers confirmed.", 12, 3, 0)
OIDC = {"oidc_href": "/sign-in/oidc?invitation=1", "oidc_name": "Acme SSO"}


INVITATION = Link(
    purpose=LinkPurpose.INVITATION,
    id="invitation_1",
    email="jun.kim@acme.example",
    workspace_id=ACME.id,
    role=Role.MEMBER,
    person_id="",
    inviter_email=MINA.email,
    expire_time=ahead(days=6, hours=3),
)


def details(row: views.KeyRow, **other: Any) -> views.KeyDetails:
    fields: dict[str, Any] = {
        name: getattr(row, name) for name in views.KeyRow.__dataclass_fields__
    }
    more: dict[str, Any] = {
        "scopes": [],
        "labels": {},
        "secrets": [views.SecretRow(row.hint, row.create_time, None, ago(minutes=4), "current")],
        "revocation": None,
    }
    return views.KeyDetails(**fields | more | other)


ROTATED = details(
    replace(ROWS[1], flags=["old_secret", "expiring"]),
    scopes=["chat:write", "models:read", "embeddings/" + "x" * 60],
    labels={"team": SCRIPT, "cost-centre": "4711"},
    secrets=[
        views.SecretRow("sk-optk-1074…n3Wq", ago(hours=3), None, ago(minutes=4), "current"),
        views.SecretRow(
            "sk-optk-1074…w2Yz", ago(days=25), ahead(hours=21), ago(minutes=9), "ending"
        ),
        views.SecretRow("sk-optk-1074…a0Bc", ago(days=99), ago(days=24), None, "ended"),
    ],
)
REVOKED = details(
    ROWS[6],
    revocation=views.Revocation("compromised", f"Pasted into a ticket: {SCRIPT}", ago(hours=2)),
)


def invitation(state: str, **other: Any) -> dict[str, Any]:
    page = {
        "invitation": INVITATION,
        "workspace_name": "Acme",
        "inviter": "mina.park@acme.example",
        "state": state,
        "form": FORM,
        "action": ACTION,
        "sign_in_href": "/sign-in",
        "oidc_href": None,
    }
    return OUTSIDE | page | other


def entry(minutes: int, sentence: str, subject: str, **other: Any) -> views.EntryRow:
    row = views.EntryRow(
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
    views.PersonRow("p1", "Mina Park", "mina.park@acme.example", True, 3, True, "/a", "/r"),
    views.PersonRow("p2", SCRIPT, IMAGE, False, 0, False, "/a", "/r"),
    views.PersonRow("p3", "Jun Kim", "jun.kim@acme.example", True, 1, False, "/a", "/r"),
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
BESIDE = {
    "me": MINA,
    "csrf": "c" * 43,
    "request_id": "req_5sT9kQ2mB8sKd1xYz0aB",
    "may": INSIDE["may"],
}


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


ADMINISTRATION = BESIDE | {"section": "administration", "next_href": None, "form": FORM}
KEY = {"key": details(ROWS[0]), "form": FORM, "form_id": "r1"}
ERROR = {"retry_href": None, "home_href": "/workspaces"}

MORE: list[Page] = [
    Page("setup", "setup.html", OUTSIDE | OIDC | {"form": FORM, "action": "/setup/t"}),
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
            "action": "/setup/t",
            "oidc_href": None,
        },
    ),
    Page("invitation_new", "invitation.html", invitation("new", **OIDC)),
    Page(
        "invitation_known",
        "invitation.html",
        invitation("known", workspace_name=SCRIPT, inviter=IMAGE),
    ),
    Page("invitation_yours", "invitation.html", invitation("yours", me=MINA)),
    Page("invitation_other", "invitation.html", invitation("other", me=MINA)),
    Page(
        "recovery",
        "recovery.html",
        OUTSIDE | {"form": FORM, "email": "jun.kim@acme.example", "action": "/r"},
    ),
    Page("link_invalid", "link_invalid.html", OUTSIDE),
    Page("workspaces", "workspaces.html", BESIDE | {"choices": [ACME, *OTHERS]}),
    Page("workspaces_none", "workspaces.html", BESIDE | {"choices": [], "may": frozenset()}),
    Page("workspaces_none_administrator", "workspaces.html", BESIDE | {"choices": []}),
    Page("key_made", "key_made.html", INSIDE | KEY),
    Page("key", "key.html", INSIDE | KEY | {"activity_href": "/a", "notice": "The key is saved."}),
    Page(
        "key_of_seoul",
        "key.html",
        INSIDE | KEY | {"activity_href": "/a", "me": replace(MINA, time_zone="Asia/Seoul")},
    ),
    Page("key_rotated", "key.html", INSIDE | {"key": ROTATED, "activity_href": "/a"}),
    Page("key_paused", "key.html", INSIDE | {"key": details(ROWS[4]), "activity_href": "/a"}),
    Page("key_gone", "key.html", INSIDE | {"key": REVOKED, "activity_href": "/a"}),
    Page(
        "key_edit",
        "key_edit.html",
        INSIDE
        | {
            "key": ROTATED,
            "etag": "e",
            "form": Form(
                values={
                    "name": LONG,
                    "expires": "date",
                    "expire_date": "2027-01-22",
                    "scopes": "chat:write",
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
            "replace_href": WORKSPACE + "/keys/new?name=x",
            "activity_href": "/a",
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
            "replace_href": WORKSPACE + "/keys/new",
            "activity_href": "/a",
        },
    ),
    Page("activity", "activity.html", activity()),
    Page("activity_people", "activity.html", activity(tab="people", next_href=None)),
    Page(
        "activity_none",
        "activity.html",
        activity(entries=[], next_href=None, form=Form(errors={"from": "This is not a day."})),
    ),
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
            "itself": False,
            "form": FORM,
        },
    ),
    Page(
        "member_leave",
        "member_remove.html",
        INSIDE
        | {"section": "members", "member": MEMBERS[0], "keys": [], "itself": True, "form": FORM},
    ),
    Page(
        "member_removed",
        "member_removed.html",
        INSIDE
        | {"section": "members", "member": MEMBERS[1], "revoked": ROWS[:2], "receipt": RECEIPT},
    ),
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
