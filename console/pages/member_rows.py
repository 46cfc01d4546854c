"""A member as pages show them."""

from __future__ import annotations

from console.paths import url
from console.people import Member
from console.views import MemberRow
from console.visit import Visit


def member_row(visit: Visit, one: Member, *, only_owner: bool = False) -> MemberRow:
    """A member of the workspace of the path."""
    place = {"workspace": visit.workspace_id, "person": one.person.id}
    return MemberRow(
        id=one.person.id,
        name=one.person.name,
        email=one.person.email,
        role=one.role.value,
        since=one.since,
        is_me=one.person.id == visit.me.id,
        only_owner=only_owner,
        remove_href=url("member_remove", **place),
        role_action=url("member_role", **place),
    )
