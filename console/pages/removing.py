"""Removing a member, or leaving: their keys are looked at first."""

from __future__ import annotations

from console import key_views
from console.access import deeds
from console.authority import MOST
from console.forms import Form
from console.pages import problems
from console.pages.members import member_row
from console.people import LastOwner, Member, NotFound, Role
from console.receipts import receipt
from console.views import KeyRow, Receipt
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client import admin
from keyauthority.client.admin import (
    AuthorityError,
    RevocationReason,
    SpreadingError,
    UnavailableError,
)

_ACTING = ("active", "paused")


async def show(visit: Visit) -> Answer:
    """Who it is, and the keys that still act of which they were shown a secret."""
    member = await _member(visit)
    if not _may(visit, member):
        return await problems.forbidden(visit)
    keys, more = await _keys(visit, member)
    return await _page(visit, member, keys, Form(), {row.id for row in keys}, more=more)


async def submit(visit: Visit) -> Answer:
    """Revokes the keys that were chosen, then removes the member.

    In this order: if the first fails the member is still listed, with the keys.
    """
    member = await _member(visit)
    if not _may(visit, member):
        return await problems.forbidden(visit)
    ticked, told = set(visit.fields.all("revoke")), None
    keys: list[KeyRow] = []
    chosen: list[KeyRow] = []
    try:
        keys, _ = await _keys(visit, member)
        await _check_not_last_owner(visit, member)
        chosen = [row for row in keys if row.id in ticked and _may_revoke(visit)]
        if chosen:
            told = await _revoked(visit, chosen, member)
        await _remove(visit, member)
    except LastOwner as error:
        return await _page(visit, member, keys, Form(problem=str(error)), ticked, 422)
    except UnavailableError:
        kept = keys or _last_known(visit, ticked)
        return await _page(visit, member, kept, Form(problem=problems.AWAY), ticked, 503)
    if member.person.id == visit.me.id:
        return visit.redirect("/", "left")
    return await visit.page(
        "member_removed.html",
        section="members",
        member=member_row(visit, member),
        revoked=chosen,
        remaining=await _remaining(visit, member),
        receipt=told,
    )


async def _remove(visit: Visit, member: Member) -> None:
    try:
        await visit.parts.books.memberships.remove(visit.by, visit.workspace_id, member.person.id)
    except NotFound:
        # Somebody else was quicker: they are gone, as was wanted, and so are the keys.
        return


async def _revoked(visit: Visit, keys: list[KeyRow], member: Member) -> Receipt:
    went = "left" if member.person.id == visit.me.id else "was removed from"
    note = f"{member.person.email} {went} the workspace"
    try:
        revoked = await visit.authority.call(
            admin.keys.revoke_all([row.id for row in keys], RevocationReason.OWNER_LEFT, note)
        )
    except SpreadingError as error:
        sentence = f"They are revoked, and stop everywhere within {error.seconds} s."
        return Receipt(sentence, 0, 0, 0)
    return receipt(revoked.receipt)


async def _remaining(visit: Visit, member: Member) -> list[KeyRow]:
    # Also what they made after this page was opened. The removal itself is done, whatever this says.
    try:
        return (await _keys(visit, member))[0]
    except AuthorityError:
        return []


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


def _may_revoke(visit: Visit) -> bool:
    # Who was a member once and only looks on now leaves, and revokes nothing.
    return "keys.revoke" in deeds(visit.role, administrator=False)


async def _keys(visit: Visit, member: Member) -> tuple[list[KeyRow], bool]:
    # Those they created, and those of which they were shown a secret that lives.
    authority, place, person = visit.authority, visit.workspace_id, member.person.id
    created, more = await authority.keys(place, creator_id=person)
    seen, more_seen = await authority.keys(place, secret_creator_id=person)
    keys = {key.id: key for key in (*created, *seen)}
    rows = [key_views.row(key, visit.now) for key in keys.values()]
    acting = key_views.ordered([row for row in rows if row.state in _ACTING], "-created")
    # As many as can be revoked at once.
    return acting[:MOST], more or more_seen or len(acting) > MOST


def _last_known(visit: Visit, ticked: set[str]) -> list[KeyRow]:
    # What was ticked stays ticked, by as much of each key as the form itself holds.
    ids = sorted(one for one in ticked if key_views.is_key_id(one))
    return [key_views.last_known(visit.workspace_id, one, one, visit.now) for one in ids]


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
        member=member_row(visit, member),
        keys=keys,
        ticked=ticked,
        truncated=more,
        itself=member.person.id == visit.me.id,
    )
