"""The front page, and the choice of a workspace."""

from __future__ import annotations

from console.paths import url
from console.visit import Visit, workspace_view
from keyauthority.base.http.answer import Answer


async def front(visit: Visit) -> Answer:
    """Straight into the workspace when there is just one."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    done = visit.announced()
    if len(memberships) == 1:
        return visit.redirect(url("keys", workspace=memberships[0].workspace_id), done)
    return visit.redirect(url("workspaces"), done)


async def choose(visit: Visit) -> Answer:
    """All workspaces that the person belongs to, by name."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    roles = {one.workspace_id: one.role for one in memberships}
    found = await visit.authority.workspaces(list(roles))
    views = [
        workspace_view(one.id, one.name, roles[one.id], suspended=one.suspended)
        for one in sorted(found, key=lambda one: (one.name.casefold(), one.id))
    ]
    return await visit.page("workspaces.html", choices=views, other_workspaces=[])
