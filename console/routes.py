"""Every page: its path, the function that makes it, what it requires; and the route of a path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias

from console.pages import (
    account,
    activity,
    crediting,
    key,
    keys,
    links,
    members,
    oidc,
    people,
    probes,
    removing,
    secrets,
    signing_in,
    statements,
    workspace_credits,
    workspaces,
)
from console.paths import PATHS
from console.visit import Needs, Route, Visit
from keyauthority.base.http.answer import Answer

Page: TypeAlias = Callable[[Visit], Awaitable[Answer]]

_NAMED: Final = re.compile(r"\{(\w+)\}")
# The characters of ids, one-time links and file names: no dot segments, no escapes, no markup.
_SEGMENT: Final = r"(?P<\1>[A-Za-z0-9_-]{1,128})"


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
    _get("sign_in_oidc", oidc.begin, Needs.NOTHING),
    _get("sign_in_callback", oidc.finish, Needs.NOTHING),
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
    _get("key_new", secrets.show_create, Needs.MEMBER),
    _post("key_new", secrets.create, Needs.MEMBER, shows_secret=True),
    _get("key", key.show, Needs.VIEWER),
    _get("key_edit", key.show_edit, Needs.MEMBER),
    _post("key_edit", key.edit, Needs.MEMBER),
    _post("key_pause", key.pause, Needs.MEMBER),
    _post("key_resume", key.resume, Needs.MEMBER),
    _get("key_rotate", secrets.show_rotate, Needs.MEMBER),
    _post("key_rotate", secrets.rotate, Needs.MEMBER, shows_secret=True),
    _get("key_revoke", key.show_revoke, Needs.MEMBER),
    _post("key_revoke", key.revoke, Needs.MEMBER),
    _post("key_stored", secrets.stored, Needs.MEMBER),
    _get("credits", workspace_credits.overview, Needs.VIEWER),
    _get("entries", workspace_credits.entries, Needs.VIEWER),
    _get("statement", statements.show, Needs.VIEWER),
    _get("statement_csv", statements.download, Needs.VIEWER),
    _get("activity", activity.show, Needs.VIEWER),
    _get("members", members.show, Needs.VIEWER),
    _post("invitations", members.invite, Needs.OWNER),
    _post("invitation_withdraw", members.withdraw, Needs.OWNER),
    _post("member_role", members.set_role, Needs.OWNER),
    # Everybody may leave; the page itself checks who may remove whom.
    _get("member_remove", removing.show, Needs.VIEWER),
    _post("member_remove", removing.submit, Needs.VIEWER),
    _get("account", account.show, Needs.PERSON),
    _post("account", account.save, Needs.PERSON),
    _post("account_password", account.set_password, Needs.PERSON),
    _post("session_end", account.end_session, Needs.PERSON),
    _post("sessions_end_others", account.end_other_sessions, Needs.PERSON),
    _get("administration", workspaces.administer, Needs.ADMINISTRATOR),
    _post("administration_workspaces", workspaces.create, Needs.ADMINISTRATOR),
    _get("workspace_suspend", workspaces.show_suspend, Needs.ADMINISTRATOR),
    _post("workspace_suspend", workspaces.suspend, Needs.ADMINISTRATOR),
    _post("workspace_resume", workspaces.resume, Needs.ADMINISTRATOR),
    _get("top_up", crediting.show_top_up, Needs.ADMINISTRATOR),
    _post("top_up", crediting.top_up, Needs.ADMINISTRATOR),
    _get("adjust", crediting.show_adjust, Needs.ADMINISTRATOR),
    _post("adjust", crediting.adjust, Needs.ADMINISTRATOR),
    _post("workspace_join", workspaces.join, Needs.ADMINISTRATOR),
    _get("administration_people", people.show, Needs.ADMINISTRATOR),
    _post("person_administrator", people.set_administrator, Needs.ADMINISTRATOR),
    _post("person_recovery", people.recover, Needs.ADMINISTRATOR),
    _post("person_sign_out", people.sign_out, Needs.ADMINISTRATOR),
    _post("person_disabled", people.set_disabled, Needs.ADMINISTRATOR),
)


class Router:
    """Finds routes by path: exact segments, and named ones that hold ids and one-time links."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self._rules = [
            (re.compile(_NAMED.sub(_SEGMENT, path)), methods) for path, methods in by_path.items()
        ]

    def above(self, path: str) -> str:
        """Returns the nearest path above *path* that can be opened."""
        while path := path.rpartition("/")[0]:
            match = self.find(path)
            if match is not None and "GET" in match[0]:
                return path
        return "/"

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]] | None:
        """Returns the routes at *path* by method, and the values of its named segments."""
        for rule, methods in self._rules:
            if match := rule.fullmatch(path):
                return methods, match.groupdict()
        return None
