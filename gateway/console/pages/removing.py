"""Removing a member, or leaving: their keys are looked at first."""

from __future__ import annotations

from gateway.answer import Answer
from gateway.console import key_views
from gateway.console.authority import SpreadingError, UnavailableError
from gateway.console.forms import Form
from gateway.console.pages import problems
from gateway.console.paths import url
from gateway.console.people import LastOwner, Member, NotFound, Role
from gateway.console.receipts import receipt
from gateway.console.views import KeyRow, MemberRow, Receipt
from gateway.console.visit import Visit
from keyauthority.v1 import key_pb2

_ACTING = ("active", "paused")


async def show(visit: Visit) -> Answer:
    """Who it is, and the keys they made that still act."""
    member = await _member(visit)
    if not _may(visit, member):
        return await problems.forbidden(visit)
    return await _page(visit, member, Form())


async def submit(visit: Visit) -> Answer:
    """Revokes the keys that were chosen, then removes the member.

    In this order: if the first fails the member is still listed, with the keys.
    """
    member = await _member(visit)
    if not _may(visit, member):
        return await problems.forbidden(visit)
    form = Form()
    chosen, told = set(visit.fields.all("revoke")), None
    try:
        await _check_not_last_owner(visit, member)
        keys = [row for row in await _keys(visit, member) if row.id in chosen]
        if keys:
            told = await _revoked(visit, keys, member)
        await visit.parts.books.memberships.remove(visit.by, visit.workspace_id, member.person.id)
    except LastOwner as error:
        form.problem = str(error)
        return await _page(visit, member, form, 422)
    except UnavailableError:
        form.problem = problems.AWAY
        return await _page(visit, member, form, 503)
    if member.person.id == visit.me.id:
        return visit.redirect("/", "left")
    return await visit.page(
        "member_removed.html",
        section="members",
        member=_row(visit, member),
        revoked=keys,
        receipt=told,
    )


async def _revoked(visit: Visit, keys: list[KeyRow], member: Member) -> Receipt:
    note = f"{member.person.email} was removed from the workspace"
    try:
        answer = await visit.authority.revoke_all(
            [row.id for row in keys], key_pb2.REVOCATION_REASON_OWNER_LEFT, note
        )
    except SpreadingError as error:
        sentence = f"They are revoked, and stop everywhere within {error.seconds} s."
        return Receipt(sentence, 0, 0, 0)
    return receipt(answer.receipt)


async def _check_not_last_owner(visit: Visit, member: Member) -> None:
    # Once more, and for good, when the member is removed; here, before any key is revoked.
    if member.role is not Role.OWNER:
        return
    members = await visit.parts.books.memberships.of_workspace(visit.workspace_id)
    if sum(one.role is Role.OWNER for one in members) == 1:
        raise LastOwner


async def _member(visit: Visit) -> Member:
    for one in await visit.parts.books.memberships.of_workspace(visit.workspace_id):
        if one.person.id == visit.path["person"]:
            return one
    raise NotFound("no such member")


def _may(visit: Visit, member: Member) -> bool:
    # Everybody may leave; only owners remove others.
    return visit.role is Role.OWNER or member.person.id == visit.me.id


async def _keys(visit: Visit, member: Member) -> list[KeyRow]:
    keys, _ = await visit.authority.keys(visit.workspace_id, creator_id=member.person.id)
    rows = [key_views.row(key, visit.now) for key in keys]
    return [row for row in rows if row.state in _ACTING]


async def _page(visit: Visit, member: Member, form: Form, status: int = 200) -> Answer:
    try:
        keys = await _keys(visit, member)
    except UnavailableError:
        if visit.request.method == "GET":
            raise
        keys = []
    return await visit.page(
        "member_remove.html",
        status,
        section="members",
        form=form,
        member=_row(visit, member),
        keys=keys,
        itself=member.person.id == visit.me.id,
    )


def _row(visit: Visit, one: Member) -> MemberRow:
    place = {"workspace": visit.workspace_id, "person": one.person.id}
    return MemberRow(
        id=one.person.id,
        name=one.person.name,
        email=one.person.email,
        role=one.role.value,
        since=one.since,
        is_me=one.person.id == visit.me.id,
        only_owner=False,
        remove_href=url("member_remove", **place),
        role_action=url("member_role", **place),
    )
