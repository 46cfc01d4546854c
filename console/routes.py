"""Every page: where it is, what makes it, what it asks of its visitor; and which one a path names."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias

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
    secret,
    signing_in,
    signing_in_elsewhere,
    workspaces,
)
from console.paths import PATHS
from console.visit import Route, Visit
from keyauthority.base.http.answer import Answer

Page: TypeAlias = Callable[[Visit], Awaitable[Answer]]

_NAMED: Final = re.compile(r"\{(\w+)\}")
# What ids, one-time links and file names are made of: no dot segments, no escapes, no markup.
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
    _post("key_stored", secret.stored, Needs.MEMBER),
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
        """The nearest page above *path* that can be opened."""
        while path := path.rpartition("/")[0]:
            found = self.find(path)
            if found is not None and "GET" in found[0]:
                return path
        return "/"

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]] | None:
        """The routes at *path* by method, and what its named segments hold."""
        for rule, methods in self._rules:
            if match := rule.fullmatch(path):
                return methods, match.groupdict()
        return None
