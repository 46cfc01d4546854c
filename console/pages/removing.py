"""Removing a member, or leaving: first their keys are looked at."""

from __future__ import annotations

from console import key_views, submitting
from console.authority import MOST_KEYS
from console.forms import Form
from console.key_views import KeyRow
from console.pages import problems
from console.people import LastOwner, Member, NotFound, Role
from console.visit import Visit
from console.words import receipt
from keyauthority.base.http.answer import Answer
from keyauthority.client import admin
from keyauthority.client.admin import (
    AuthorityError,
    RevocationReason,
    SpreadingError,
    UnavailableError,
)


async def show(visit: Visit) -> Answer:
    """Shows the member, and the keys that still work and whose secret they were shown."""
    member = await _member(visit)
    if not _may_remove(visit, member):
        return await problems.forbidden(visit)
    keys, more = await _keys(visit, member)
    return await _page(visit, member, keys, Form(), {row.id for row in keys}, more=more)


async def submit(visit: Visit) -> Answer:
    """Revokes the ticked keys, then removes the member.

    In this order: if revoking fails the member is still listed, with the keys.
    """
    member = await _member(visit)
    if not _may_remove(visit, member):
        return await problems.forbidden(visit)
    ticked = set(visit.fields.all("revoke"))
    keys: list[KeyRow] = []
    revoked: list[KeyRow] = []
    sentence = None
    try:
        keys, _ = await _keys(visit, member)
        await _check_not_last_owner(visit, member)
        # A viewer leaves without revoking anything.
        if "keys.change" in visit.may:
            revoked = [row for row in keys if row.id in ticked]
        if revoked:
            sentence = await _revoke(visit, revoked, member)
        await _remove(visit, member)
    except LastOwner as error:
        return await _page(visit, member, keys, Form(problem=str(error)), ticked, 422)
    except UnavailableError:
        keys = keys or _last_known(visit, ticked)
        return await _page(visit, member, keys, Form(problem=submitting.AWAY), ticked, 503)
    if member.person.id == visit.me.id:
        return visit.redirect("/", "left")
    return await visit.page(
        "member_removed.html",
        section="members",
        person=member.person,
        revoked=revoked,
        remaining=await _remaining(visit, member),
        receipt=sentence,
    )


async def _remove(visit: Visit, member: Member) -> None:
    try:
        await visit.parts.books.memberships.remove(
            visit.origin, visit.workspace_id, member.person.id
        )
    except NotFound:
        # Somebody else removed the member a moment ago.
        return


async def _revoke(visit: Visit, keys: list[KeyRow], member: Member) -> str:
    went = "left" if member.person.id == visit.me.id else "was removed from"
    note = f"{member.person.email} {went} the workspace"
    try:
        revoked = await visit.authority.call(
            admin.keys.revoke_all([row.id for row in keys], RevocationReason.OWNER_LEFT, note)
        )
    except SpreadingError as error:
        return f"The keys are revoked, and stop working everywhere within {error.seconds} s."
    return receipt(revoked.receipt)


async def _remaining(visit: Visit, member: Member) -> list[KeyRow]:
    # With keys made after the page was opened. The member is removed even if this call fails.
    try:
        return (await _keys(visit, member))[0]
    except AuthorityError:
        return []


async def _check_not_last_owner(visit: Visit, member: Member) -> None:
    # Before any key is revoked; the removal itself checks again.
    if member.role is not Role.OWNER:
        return
    members = await visit.parts.books.memberships.of_workspace(visit.workspace_id)
    if sum(other.role is Role.OWNER for other in members) == 1:
        raise LastOwner


async def _member(visit: Visit) -> Member:
    for member in await visit.parts.books.memberships.of_workspace(visit.workspace_id):
        if member.person.id == visit.path["person"]:
            return member
    raise NotFound("no such member")


def _may_remove(visit: Visit, member: Member) -> bool:
    # Everybody may leave; only owners remove others.
    return visit.role is Role.OWNER or member.person.id == visit.me.id


async def _keys(visit: Visit, member: Member) -> tuple[list[KeyRow], bool]:
    # The keys that the member created, and those with a live secret that the member was shown.
    authority, workspace, person = visit.authority, visit.workspace_id, member.person.id
    created, more_created = await authority.keys(workspace, creator_id=person)
    rotated, more_rotated = await authority.keys(workspace, secret_creator_id=person)
    keys = {key.id: key for key in (*created, *rotated)}
    rows = [key_views.row(key, visit.now) for key in keys.values()]
    working = [row for row in rows if row.state in ("active", "paused")]
    # No more than one call revokes.
    newest = key_views.ordered(working, "-created")[:MOST_KEYS]
    return newest, more_created or more_rotated or len(working) > MOST_KEYS


def _last_known(visit: Visit, ticked: set[str]) -> list[KeyRow]:
    # What was ticked stays ticked; the form holds only the ids.
    return [
        key_views.last_known(visit.workspace_id, key_id, key_id, visit.now)
        for key_id in sorted(filter(key_views.is_key_id, ticked))
    ]


async def _page(
    visit: Visit,
    member: Member,
    keys: list[KeyRow],
    form: Form,
    ticked: set[str],
    status: int = 200,
    *,
    more: bool = False,
) -> Answer:
    return await visit.page(
        "member_remove.html",
        status,
        section="members",
        form=form,
        person=member.person,
        keys=keys,
        ticked=ticked,
        truncated=more,
        itself=member.person.id == visit.me.id,
    )
