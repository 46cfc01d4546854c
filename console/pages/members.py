"""The people of a workspace: inviting them, their roles, and their leaving."""

from __future__ import annotations

from typing import Final

from console import words
from console.forms import Form
from console.paths import url
from console.people import (
    AlreadyMember,
    FieldInvalid,
    Invitation,
    LastOwner,
    Member,
    Role,
)
from console.views import InvitationRow, MemberRow
from console.visit import Visit
from keyauthority.base.http.answer import Answer

_ROLES: Final = {role.value: role for role in Role}


async def show(visit: Visit) -> Answer:
    """Members and invitations."""
    return await _page(visit, Form({"email": "", "role": "member"}))


async def invite(visit: Visit) -> Answer:
    """Makes an invitation and shows its link, once; an earlier one for the address ends."""
    form = visit.fields.form(["email", "role"])
    role = _ROLES.get(form.values["role"])
    if role is None:
        form.errors["role"] = "Choose what they may do."
        return await _page(visit, form, 422)
    try:
        invitation, token = await visit.parts.books.links.invite(
            visit.by, visit.workspace_id, form.values["email"], role
        )
    except FieldInvalid as error:
        form.errors[error.field] = str(error)
        return await _page(visit, form, 422)
    except AlreadyMember as error:
        form.errors["email"] = str(error)
        return await _page(visit, form, 422)
    link = visit.parts.public_url + url("invitation", token=token.reveal())
    return await visit.page(
        "invited.html",
        section="members",
        link=link,
        email=invitation.email,
        role=role.value,
        expire_time=invitation.expire_time,
    )


async def withdraw(visit: Visit) -> Answer:
    """Has an invitation's link no longer work."""
    await visit.parts.books.links.withdraw(visit.by, visit.workspace_id, visit.path["invitation"])
    return visit.redirect(url("members", workspace=visit.workspace_id), "withdrawn")


async def set_role(visit: Visit) -> Answer:
    """Changes what a member may do."""
    role = _ROLES.get(visit.fields.one("role"))
    form = Form({"email": "", "role": "member"})
    if role is None:
        form.problem = "Choose one of the roles."
        return await _page(visit, form, 422)
    try:
        await visit.parts.books.memberships.set_role(
            visit.by, visit.workspace_id, visit.path["person"], role
        )
    except LastOwner as error:
        form.problem = str(error)
        return await _page(visit, form, 422)
    return visit.redirect(url("members", workspace=visit.workspace_id), "role-changed")


async def _page(visit: Visit, form: Form, status: int = 200) -> Answer:
    books = visit.parts.books
    members = await books.memberships.of_workspace(visit.workspace_id)
    # Who is invited is for those who invite.
    invitations = []
    if visit.role is Role.OWNER:
        invitations = await books.links.of_workspace(visit.workspace_id)
    owners = sum(one.role is Role.OWNER for one in members)
    return await visit.page(
        "members.html",
        status,
        section="members",
        form=form,
        members=[
            member_row(visit, one, only_owner=one.role is Role.OWNER and owners == 1)
            for one in members
        ],
        invitations=[_invitation(visit, one) for one in invitations],
        roles=words.ROLES,
    )


def _invitation(visit: Visit, one: Invitation) -> InvitationRow:
    place = {"workspace": visit.workspace_id, "invitation": one.id}
    return InvitationRow(
        id=one.id,
        email=one.email,
        role=one.role.value,
        inviter=one.inviter_email,
        create_time=one.create_time,
        expire_time=one.expire_time,
        withdraw_action=url("invitation_withdraw", **place),
    )


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
