"""The people of a workspace: inviting them, and their roles."""

from __future__ import annotations

from typing import Final

from console.forms import Form
from console.paths import url
from console.people import AlreadyMember, FieldInvalid, LastOwner, Role
from console.visit import Visit
from keyauthority.base.http.answer import Answer

_ROLES: Final = {role.value: role for role in Role}


async def show(visit: Visit) -> Answer:
    """Shows members and invitations."""
    return await _page(visit, Form({"email": "", "role": "member"}))


async def invite(visit: Visit) -> Answer:
    """Makes an invitation and shows its link, once. An earlier one for the address ends."""
    form = visit.fields.form(["email", "role"])
    role = _ROLES.get(form.values["role"])
    if role is None:
        form.errors["role"] = "Choose a role."
        return await _page(visit, form, 422)
    try:
        invitation, token = await visit.parts.books.links.invite(
            visit.origin, visit.workspace_id, form.values["email"], role
        )
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        return await _page(visit, form, 422)
    except AlreadyMember as error:
        form.errors["email"] = str(error)
        return await _page(visit, form, 422)
    link = visit.parts.public_url + url("invitation", token=token.reveal())
    return await visit.page("invited.html", section="members", link=link, invitation=invitation)


async def withdraw(visit: Visit) -> Answer:
    """Withdraws an invitation: its link no longer works."""
    await visit.parts.books.links.withdraw(
        visit.origin, visit.workspace_id, visit.path["invitation"]
    )
    return visit.redirect(url("members", workspace=visit.workspace_id), "withdrawn")


async def set_role(visit: Visit) -> Answer:
    """Changes what a member may do."""
    role = _ROLES.get(visit.fields.get("role"))
    form = Form({"email": "", "role": "member"})
    if role is None:
        form.problem = "Choose a role."
        return await _page(visit, form, 422)
    try:
        await visit.parts.books.memberships.set_role(
            visit.origin, visit.workspace_id, visit.path["person"], role
        )
    except LastOwner as error:
        form.problem = str(error)
        return await _page(visit, form, 422)
    return visit.redirect(url("members", workspace=visit.workspace_id), "role-changed")


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    books = visit.parts.books
    members = await books.memberships.of_workspace(visit.workspace_id)
    owners = [member.person.id for member in members if member.role is Role.OWNER]
    # Only owners, who invite, see who is invited.
    invitations = []
    if visit.role is Role.OWNER:
        invitations = await books.links.of_workspace(visit.workspace_id)
    return await visit.page(
        "members.html",
        status,
        section="members",
        form=form,
        members=members,
        only_owner=owners[0] if len(owners) == 1 else "",
        invitations=invitations,
    )
