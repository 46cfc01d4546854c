"""Choosing a workspace; for administrators: creating, suspending and resuming workspaces."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console import submitting
from console.forms import Form
from console.paths import url
from console.people import AlreadyMember, NotFound, Role
from console.visit import Visit, WorkspaceView
from console.words import receipt
from keyauthority.base.http.answer import Answer
from keyauthority.client import admin
from keyauthority.client.admin import RefusedError, SpreadingError, UnavailableError

_PAGE: Final = 50
_AWAY: Final = (
    "The key authority didn’t answer, so we can’t tell whether the workspace was created. Nothing "
    "you typed is lost. Look at the list in a moment, and press the button again if the workspace "
    "isn’t there."
)
_SENT_BEFORE: Final = (
    "This form was sent before. Look at the list: if the workspace isn’t there, press the button "
    "again."
)


async def front(visit: Visit) -> Answer:
    """Opens the person's only workspace, or the choice."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    notice = visit.notice()
    if len(memberships) == 1:
        return visit.redirect(url("keys", workspace=memberships[0].workspace_id), notice)
    return visit.redirect(url("workspaces"), notice)


async def choose(visit: Visit) -> Answer:
    """Shows the person's workspaces, by name."""
    memberships = await visit.parts.books.memberships.of_person(visit.me.id)
    roles = {membership.workspace_id: membership.role.value for membership in memberships}
    workspaces = await visit.authority.workspaces(list(roles))
    choices = [
        WorkspaceView(workspace.id, workspace.name, workspace.suspended, roles[workspace.id])
        for workspace in sorted(workspaces, key=lambda one: (one.name.casefold(), one.id))
    ]
    return await visit.page("workspaces.html", choices=choices)


async def administer(visit: Visit) -> Answer:
    """Shows all workspaces, newest first."""
    return await _page(visit, Form({"name": ""}))


async def create(visit: Visit) -> Answer:
    """Creates a workspace and makes the administrator its owner."""
    form = visit.fields.form(["name"])
    form.keep_secrets_out()
    if not form.values["name"] and form.ok:
        form.errors["name"] = "Give the workspace a name: of a team, a customer or a product."
    if not form.ok:
        return await _page(visit, form, 422)
    try:
        await submitting.begin(visit, "workspace", once=True)
        workspace = await visit.authority.call(admin.workspaces.create(form.values["name"]))
    except submitting.OverError as over:
        if over.key_id:
            return visit.redirect(url("keys", workspace=over.key_id))
        form.problem = _SENT_BEFORE
        return await _page(visit, form, 409)
    except RefusedError as error:
        form.errors["name"] = submitting.sentence(error)
        return await _page(visit, form, 422)
    except UnavailableError:
        form.problem = _AWAY
        return await _page(visit, form, 503)
    await visit.parts.books.memberships.add(visit.origin, workspace.id, visit.me.id, Role.OWNER)
    await submitting.answered(visit, workspace.id)
    return visit.redirect(url("keys", workspace=workspace.id), "workspace-created")


async def join(visit: Visit) -> Answer:
    """Makes the administrator an owner of the workspace."""
    workspace = await visit.authority.call(admin.workspaces.get(visit.workspace_id))
    memberships = visit.parts.books.memberships
    try:
        await memberships.add(visit.origin, workspace.id, visit.me.id, Role.OWNER)
    except AlreadyMember:
        await memberships.set_role(visit.origin, workspace.id, visit.me.id, Role.OWNER)
    return visit.redirect(url("keys", workspace=workspace.id), "joined")


async def show_suspend(visit: Visit) -> Answer:
    """Shows what suspending does."""
    workspace = await visit.authority.call(admin.workspaces.get(visit.workspace_id))
    visit.parts.names.remember(workspace.id, workspace.name)
    return await _suspend_page(visit, Form())


async def suspend(visit: Visit) -> Answer:
    """Suspends the workspace: all its keys are refused."""
    try:
        return await _set_suspended(visit, suspended=True)
    except UnavailableError:
        return await _suspend_page(visit, Form(problem=submitting.AWAY), 503)


async def resume(visit: Visit) -> Answer:
    """Resumes the workspace."""
    return await _set_suspended(visit, suspended=False)


async def _set_suspended(visit: Visit, *, suspended: bool) -> Answer:
    try:
        changed = await visit.authority.call(
            admin.workspaces.update(visit.workspace_id, suspended=suspended)
        )
    except SpreadingError as error:
        sentence = f"In force everywhere within {error.seconds} s."
    else:
        visit.parts.names.remember(visit.workspace_id, changed.record.name)
        sentence = receipt(changed.receipt, "Stopped" if suspended else "Working again")
    return await visit.page(
        "workspace_changed.html",
        section="administration",
        name=visit.parts.names.get(visit.workspace_id),
        what="suspended" if suspended else "resumed",
        receipt=sentence,
    )


async def _suspend_page(visit: Visit, form: Form, status: int = 200) -> Answer:
    return await visit.page(
        "workspace_suspend.html",
        status,
        section="administration",
        form=form,
        id=visit.workspace_id,
        name=visit.parts.names.get(visit.workspace_id),
    )


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    page: admin.Page[admin.Workspace] = admin.Page((), "")
    try:
        page = await visit.authority.call(
            admin.workspaces.page(size=_PAGE, token=visit.query("page"))
        )
    except UnavailableError:
        if visit.reading:
            raise
    except RefusedError:
        raise NotFound("no such page") from None
    memberships = visit.parts.books.memberships
    mine = await memberships.of_person(visit.me.id)
    further = urlencode({"page": page.next_page_token})
    return await visit.page(
        "administration.html",
        status,
        section="administration",
        form=form,
        form_id=submitting.new_request_id(),
        workspaces=page.records,
        members=await memberships.counts([workspace.id for workspace in page.records]),
        mine={membership.workspace_id for membership in mine},
        next_href=f"{url('administration')}?{further}" if page.next_page_token else None,
    )
