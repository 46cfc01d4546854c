"""The front page, and the choice of a workspace."""

from __future__ import annotations

from gateway.answer import Answer
from gateway.console.views import WorkspaceView
from gateway.console.visit import Visit


async def front(visit: Visit) -> Answer:
    """Straight into the workspace when there is just one."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    done = visit.request.rel_url.query.get("done", "")
    if len(memberships) == 1:
        return visit.redirect(f"/workspaces/{memberships[0].workspace_id}/keys", done)
    return visit.redirect("/workspaces", done)


async def choose(visit: Visit) -> Answer:
    """All workspaces that the person belongs to, by name."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    roles = {one.workspace_id: one.role for one in memberships}
    found = await visit.authority.workspaces(roles)
    views = [
        WorkspaceView(one.id, one.name, one.suspended, roles[one.id].name.lower())
        for one in sorted(found, key=lambda one: (one.name.casefold(), one.id))
    ]
    return await visit.page("workspaces.html", choices=views, other_workspaces=[])
