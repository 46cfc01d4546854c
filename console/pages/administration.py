"""For administrators: creating, suspending and resuming workspaces."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console import key_form, submitting
from console.forms import Form
from console.key_views import EPOCH
from console.pages import problems
from console.paths import url
from console.people import AlreadyMember, Membership, NotFound, Role
from console.receipts import receipt
from console.views import Receipt, WorkspaceRow
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client import admin
from keyauthority.client.admin import RefusedError, SpreadingError, UnavailableError

PAGE: Final = 50
_AWAY: Final = (
    "The key authority didn’t answer, so we can’t tell whether the workspace was made. Nothing you "
    "typed is lost: look at the list once it is back, then press the button again if it isn’t there."
)
_SENT_BEFORE: Final = "This form was sent before. Look at the list: if the workspace isn’t there, press the button again."


async def show(visit: Visit) -> Answer:
    """All workspaces, newest first."""
    return await _page(visit, Form({"name": ""}))


async def create(visit: Visit) -> Answer:
    """Makes a workspace, whose owner the administrator is."""
    form = visit.fields.form(["name"])
    form.keep_secrets_out()
    if not form.values["name"] and form.ok:
        form.errors["name"] = "Give it a name: a team’s, a customer’s, a product’s."
    if not form.ok:
        return await _page(visit, form, 422)
    try:
        await submitting.begun(visit, "workspace", first=True)
        made = await visit.authority.call(admin.workspaces.create(form.values["name"]))
    except submitting.OverError as over:
        if over.key_id:
            return visit.redirect(url("keys", workspace=over.key_id))
        form.problem = _SENT_BEFORE
        return await _page(visit, form, 409)
    except RefusedError as error:
        form.errors["name"] = key_form.said(error)
        return await _page(visit, form, 422)
    except UnavailableError:
        form.problem = _AWAY
        return await _page(visit, form, 503)
    await visit.parts.books.memberships.add(visit.by, made.id, visit.me.id, Role.OWNER)
    await submitting.answered(visit, made.id)
    return visit.redirect(url("keys", workspace=made.id), "workspace-created")


async def join(visit: Visit) -> Answer:
    """Makes the administrator an owner of a workspace that is there."""
    workspace = await visit.authority.call(admin.workspaces.get(visit.workspace_id))
    memberships = visit.parts.books.memberships
    try:
        await memberships.add(visit.by, workspace.id, visit.me.id, Role.OWNER)
    except AlreadyMember:
        await memberships.set_role(visit.by, workspace.id, visit.me.id, Role.OWNER)
    return visit.redirect(url("keys", workspace=workspace.id), "joined")


async def ask_suspend(visit: Visit) -> Answer:
    """What suspending does, before it is done."""
    workspace = await visit.authority.call(admin.workspaces.get(visit.workspace_id))
    return await _suspending(visit, Form(), workspace)


async def suspend(visit: Visit) -> Answer:
    """Has all keys of a workspace refused."""
    try:
        return await _set_suspended(visit, suspended=True)
    except UnavailableError:
        form = Form(problem=problems.AWAY)
        return await _suspending(visit, form, _last_known(visit), 503)


async def resume(visit: Visit) -> Answer:
    """Lets them go on."""
    return await _set_suspended(visit, suspended=False)


async def _set_suspended(visit: Visit, *, suspended: bool) -> Answer:
    try:
        changed = await visit.authority.call(
            admin.workspaces.update(visit.workspace_id, suspended=suspended)
        )
    except SpreadingError as error:
        workspace = _last_known(visit)
        told = Receipt(f"In force everywhere within {error.seconds} s.", 0, 0, 0)
    else:
        workspace = changed.record
        told = receipt(changed.receipt, "Stopped" if suspended else "Working again")
    return await visit.page(
        "workspace_changed.html",
        section="administration",
        subject=_row(workspace, 0, None),
        what="suspended" if suspended else "resumed",
        receipt=told,
    )


def _last_known(visit: Visit) -> admin.Workspace:
    name = visit.parts.names.get(visit.workspace_id, visit.workspace_id)
    return admin.Workspace(visit.workspace_id, name, False, EPOCH, EPOCH, "")


async def _suspending(
    visit: Visit, form: Form, workspace: admin.Workspace, status: int = 200
) -> Answer:
    visit.parts.names.remember(workspace.id, workspace.name)
    subject = _row(workspace, 0, None)
    return await visit.page(
        "workspace_suspend.html", status, section="administration", form=form, subject=subject
    )


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    page = admin.workspaces.page(size=PAGE, token=visit.asked("page"))
    try:
        listed = await visit.authority.call(page)
    except UnavailableError:
        if visit.reading:
            raise
        listed = admin.Page((), "")
    except RefusedError:
        raise NotFound("no such page") from None
    memberships = visit.parts.books.memberships
    counts = await memberships.counts([one.id for one in listed.records])
    mine = {one.workspace_id: one for one in await memberships.of_person(visit.me.id)}
    further = urlencode({"page": listed.next_page_token})
    return await visit.page(
        "administration.html",
        status,
        section="administration",
        form=form,
        form_id=submitting.new_request_id(),
        workspaces=[_row(one, counts.get(one.id, 0), mine.get(one.id)) for one in listed.records],
        next_href=f"{url('administration')}?{further}" if listed.next_page_token else None,
    )


def _row(one: admin.Workspace, members: int, mine: Membership | None) -> WorkspaceRow:
    return WorkspaceRow(
        id=one.id,
        name=one.name,
        suspended=one.suspended,
        create_time=one.create_time,
        members=members,
        mine=mine is not None,
        keys_href=url("keys", workspace=one.id),
        suspend_href=url("workspace_suspend", workspace=one.id),
        resume_action=url("workspace_resume", workspace=one.id),
        join_action=url("workspace_join", workspace=one.id),
    )
