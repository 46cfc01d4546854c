"""The path of every page: one table, for the router and for the links in the pages."""

from typing import Final
from urllib.parse import quote

_WORKSPACE: Final = "/workspaces/{workspace}"
_KEY: Final = _WORKSPACE + "/keys/{key}"
_CREDITS: Final = _WORKSPACE + "/credits"
_MEMBER: Final = _WORKSPACE + "/members/{person}"
_ADMINISTRATION: Final = "/administration"

PATHS: Final = {
    "front": "/",
    "healthz": "/healthz",
    "readyz": "/readyz",
    "sign_in": "/sign-in",
    "sign_in_oidc": "/sign-in/oidc",
    "sign_in_callback": "/sign-in/oidc/callback",
    "welcome": "/welcome",
    "sign_out": "/sign-out",
    "link_oidc": "/links/{token}/sign-in",
    "setup": "/setup/{token}",
    "invitation": "/invitations/{token}",
    "recovery": "/recovery/{token}",
    "workspaces": "/workspaces",
    "keys": _WORKSPACE + "/keys",
    "key_new": _WORKSPACE + "/keys/new",
    "key": _KEY,
    "key_edit": _KEY + "/edit",
    "key_pause": _KEY + "/pause",
    "key_resume": _KEY + "/resume",
    "key_rotate": _KEY + "/rotate",
    "key_revoke": _KEY + "/revoke",
    "key_stored": _KEY + "/stored",
    "credits": _CREDITS,
    "entries": _CREDITS + "/entries",
    "statement": _CREDITS + "/statement",
    "statement_csv": _CREDITS + "/statement/csv",
    "activity": _WORKSPACE + "/activity",
    "members": _WORKSPACE + "/members",
    "member_role": _MEMBER + "/role",
    "member_remove": _MEMBER + "/remove",
    "invitations": _WORKSPACE + "/invitations",
    "invitation_withdraw": _WORKSPACE + "/invitations/{invitation}/withdraw",
    "account": "/account",
    "account_password": "/account/password",
    "session_end": "/account/sessions/{session}/end",
    "sessions_end_others": "/account/sessions/end-others",
    "administration": _ADMINISTRATION,
    "administration_workspaces": _ADMINISTRATION + "/workspaces",
    "workspace_suspend": _ADMINISTRATION + _WORKSPACE + "/suspend",
    "workspace_resume": _ADMINISTRATION + _WORKSPACE + "/resume",
    "top_up": _ADMINISTRATION + _WORKSPACE + "/top-up",
    "adjust": _ADMINISTRATION + _WORKSPACE + "/adjust",
    "workspace_join": _ADMINISTRATION + _WORKSPACE + "/join",
    "administration_people": _ADMINISTRATION + "/people",
    "person_administrator": _ADMINISTRATION + "/people/{person}/administrator",
    "person_recovery": _ADMINISTRATION + "/people/{person}/recovery",
    "person_sign_out": _ADMINISTRATION + "/people/{person}/sign-out",
    "person_disabled": _ADMINISTRATION + "/people/{person}/disabled",
    "static": "/static/{name}",
}


def url(name: str, /, **parts: str) -> str:
    """Returns the path called *name* with *parts* filled in, each quoted as one segment."""
    return PATHS[name].format_map({part: quote(text, safe="") for part, text in parts.items()})
