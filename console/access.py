"""Who may open which page: a role in the workspace, or a standing in the console."""

from __future__ import annotations

import enum
from typing import Final

from console.people import Role


class Needs(enum.Enum):
    """What a page asks of its visitor."""

    # Nothing: signing in, one-time links, probes.
    NOTHING = enum.auto()
    # To be signed in.
    PERSON = enum.auto()
    # To keep the workspaces and the people.
    ADMINISTRATOR = enum.auto()
    # A role in the workspace of the path, or one that covers it.
    VIEWER = enum.auto()
    MEMBER = enum.auto()
    OWNER = enum.auto()


ROLES: Final = {Needs.VIEWER: Role.VIEWER, Needs.MEMBER: Role.MEMBER, Needs.OWNER: Role.OWNER}
"""The role in its workspace that a page needs; what isn't here is no page of a workspace."""

_DEEDS: Final = {
    "keys.create": Role.MEMBER,
    "keys.edit": Role.MEMBER,
    "keys.rotate": Role.MEMBER,
    "keys.revoke": Role.MEMBER,
    "members.manage": Role.OWNER,
}


def deeds(role: Role | None, *, administrator: bool) -> frozenset[str]:
    """What pages offer to somebody; the routes decide again what they are let to do."""
    may = {deed for deed, least in _DEEDS.items() if role is not None and role.covers(least)}
    return frozenset(may | {"workspaces.administer"}) if administrator else frozenset(may)
