"""Every page: where it is, what makes it, and what it asks of its visitor."""

from __future__ import annotations

from typing import Final

from console.access import Needs
from console.pages import (
    account,
    activity,
    administering_people,
    administration,
    creating,
    editing,
    keys,
    links,
    members,
    probes,
    removing,
    revoking,
    rotating,
    signing_in,
    signing_in_elsewhere,
    workspaces,
)
from console.paths import PATHS
from console.routing import Page, Route


def _get(name: str, page: Page, needs: Needs) -> Route:
    return Route("GET", PATHS[name], page, needs)


def _post(name: str, page: Page, needs: Needs, *, shows_secret: bool = False) -> Route:
    return Route("POST", PATHS[name], page, needs, shows_secret)


ROUTES: Final = (
    _get("healthz", probes.healthz, Needs.NOTHING),
    _get("readyz", probes.readyz, Needs.NOTHING),
    _get("sign_in", signing_in.show, Needs.NOTHING),
    _post("sign_in", signing_in.submit, Needs.NOTHING),
    _get("welcome", signing_in.welcome, Needs.NOTHING),
    _get("sign_in_oidc", signing_in_elsewhere.begin, Needs.NOTHING),
    _get("sign_in_callback", signing_in_elsewhere.finish, Needs.NOTHING),
    _post("sign_out", signing_in.sign_out, Needs.PERSON),
    _get("setup", links.setup, Needs.NOTHING),
    _post("setup", links.submit_setup, Needs.NOTHING),
    _get("invitation", links.invitation, Needs.NOTHING),
    _post("invitation", links.submit_invitation, Needs.NOTHING),
    _get("recovery", links.recovery, Needs.NOTHING),
    _post("recovery", links.submit_recovery, Needs.NOTHING),
    _get("link_oidc", links.by_provider, Needs.NOTHING),
    _get("front", workspaces.front, Needs.PERSON),
    _get("workspaces", workspaces.choose, Needs.PERSON),
    _get("keys", keys.listing, Needs.VIEWER),
    _get("key_new", creating.show, Needs.MEMBER),
    _post("key_new", creating.submit, Needs.MEMBER, shows_secret=True),
    _get("key", keys.details, Needs.VIEWER),
    _get("key_edit", editing.show, Needs.MEMBER),
    _post("key_edit", editing.submit, Needs.MEMBER),
    _post("key_pause", editing.pause, Needs.MEMBER),
    _post("key_resume", editing.resume, Needs.MEMBER),
    _get("key_rotate", rotating.show, Needs.MEMBER),
    _post("key_rotate", rotating.submit, Needs.MEMBER, shows_secret=True),
    _get("key_revoke", revoking.show, Needs.MEMBER),
    _post("key_revoke", revoking.submit, Needs.MEMBER),
    _post("key_stored", creating.stored, Needs.MEMBER),
    _get("activity", activity.show, Needs.VIEWER),
    _get("members", members.show, Needs.VIEWER),
    _post("invitations", members.invite, Needs.OWNER),
    _post("invitation_withdraw", members.withdraw, Needs.OWNER),
    _post("member_role", members.set_role, Needs.OWNER),
    # Everybody may leave: the page itself knows who may remove whom.
    _get("member_remove", removing.show, Needs.VIEWER),
    _post("member_remove", removing.submit, Needs.VIEWER),
    _get("account", account.show, Needs.PERSON),
    _post("account", account.save, Needs.PERSON),
    _post("account_password", account.set_password, Needs.PERSON),
    _post("session_end", account.end_session, Needs.PERSON),
    _post("sessions_end_others", account.end_other_sessions, Needs.PERSON),
    _get("administration", administration.show, Needs.ADMINISTRATOR),
    _post("administration_workspaces", administration.create, Needs.ADMINISTRATOR),
    _get("workspace_suspend", administration.ask_suspend, Needs.ADMINISTRATOR),
    _post("workspace_suspend", administration.suspend, Needs.ADMINISTRATOR),
    _post("workspace_resume", administration.resume, Needs.ADMINISTRATOR),
    _post("workspace_join", administration.join, Needs.ADMINISTRATOR),
    _get("administration_people", administering_people.show, Needs.ADMINISTRATOR),
    _post("person_administrator", administering_people.set_administrator, Needs.ADMINISTRATOR),
    _post("person_recovery", administering_people.recover, Needs.ADMINISTRATOR),
    _post("person_sign_out", administering_people.sign_out, Needs.ADMINISTRATOR),
    _post("person_disabled", administering_people.set_disabled, Needs.ADMINISTRATOR),
)
