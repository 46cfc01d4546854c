"""Topping up and adjusting the credits of a workspace, by administrators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

from console import amounts, submitting, words
from console.authority import CreditsUnknownError
from console.forms import Form
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client import admin
from keyauthority.client.admin import (
    Account,
    Call,
    Changed,
    Credited,
    Reason,
    RefusedError,
    SpreadingError,
    UnavailableError,
    ledger,
)

_Show: TypeAlias = Callable[[Visit, Form, int], Awaitable[Answer]]

_TOP_UP: Final = ("amount", "purchase_id", "note")
_ADJUST: Final = ("amount", "reason", "reference")
_BEFORE: Final = timedelta(minutes=10)
"""An entry that is older was not made by a form that was sent twice."""
_OTHER_TERMS: Final = (
    "There is another entry with this name and other values. Nothing was added now: give the "
    "purchase the name that it has, or look at the entries."
)
_SENT_BEFORE: Final = (
    "This form was sent before, with other values. Nothing was changed now: look at the entries, "
    "then open the form again."
)
_NO_REFERENCE: Final = "This form was not complete. Nothing was changed: press the button again."
_TOO_MUCH: Final = "The balance would be beyond what a ledger can hold."


async def show_top_up(visit: Visit) -> Answer:
    """Shows the form. The purchase has a name from the beginning: sent twice it counts once."""
    form = Form({"amount": "", "purchase_id": _new_name("console"), "note": ""})
    return await _top_up_page(visit, form)


async def top_up(visit: Visit) -> Answer:
    """Adds credits, once for each purchase."""
    form = visit.fields.form(_TOP_UP)
    form.keep_secrets_out()
    amount = _amount(form)
    if amount is not None and amount <= 0:
        form.errors["amount"] = "This has to be more than zero. Adjust the balance to lower it."
    if not form.values["purchase_id"] and "purchase_id" not in form.errors:
        form.errors["purchase_id"] = "Name the purchase, for instance by the number of the invoice."
    if amount is None or not form.ok:
        return await _top_up_page(visit, form, 422)
    call = ledger.top_up(
        visit.workspace_id, amount, form.values["purchase_id"], note=form.values["note"]
    )
    return await _enter(visit, form, call, _top_up_page)


async def show_adjust(visit: Visit) -> Answer:
    """Shows the form."""
    form = Form({"amount": "", "reason": "", "reference": _new_name("adjustment")})
    return await _adjust_page(visit, form)


async def adjust(visit: Visit) -> Answer:
    """Corrects the balance, up or down, once for each showing of the form."""
    form = visit.fields.form(_ADJUST)
    form.keep_secrets_out()
    amount = _amount(form)
    if amount == 0:
        form.errors["amount"] = "This has to be more or less than zero."
    if not form.values["reason"] and "reason" not in form.errors:
        form.errors["reason"] = "Say why. Everybody in the workspace reads it beside the entry."
    if not form.values["reference"]:
        form.problem, form.values["reference"] = _NO_REFERENCE, _new_name("adjustment")
    if amount is None or not form.ok:
        return await _adjust_page(visit, form, 422)
    call = ledger.adjust(
        visit.workspace_id, amount, form.values["reason"], reference=form.values["reference"]
    )
    return await _enter(visit, form, call, _adjust_page)


def _new_name(what: str) -> str:
    return f"{what}-{submitting.new_request_id()}"


def _amount(form: Form) -> int | None:
    if "amount" in form.errors:
        return None
    if not form.values["amount"]:
        form.errors["amount"] = "Say how many credits, such as 10 or 2.5."
        return None
    try:
        return amounts.parse(form.values["amount"])
    except ValueError as error:
        form.errors["amount"] = str(error)
        return None


async def _enter(visit: Visit, form: Form, call: Call[Changed[Credited]], show: _Show) -> Answer:
    try:
        changed = await visit.authority.ledger(call)
    except CreditsUnknownError:
        # The page itself says why.
        return await show(visit, form, 503)
    except SpreadingError as error:
        return await _changed_page(visit, None, f"In force everywhere within {error.seconds} s.")
    except RefusedError as error:
        _refuse(form, error)
        return await show(visit, form, 422)
    except UnavailableError:
        form.problem = submitting.AWAY
        return await show(visit, form, 503)
    return await _changed_page(visit, changed.record, words.receipt(changed.receipt, "In force"))


def _refuse(form: Form, error: RefusedError) -> None:
    field = {"amount_nano_credits": "amount"}.get(error.field, error.field)
    if error.reason is Reason.REFERENCE_REUSED and "purchase_id" in form.values:
        form.errors["purchase_id"] = _OTHER_TERMS
    elif error.reason is Reason.REFERENCE_REUSED:
        form.problem = _SENT_BEFORE
    elif error.reason is Reason.BALANCE_OUT_OF_RANGE:
        form.errors["amount"] = _TOO_MUCH
    elif field in form.values:
        form.errors[field] = submitting.sentence(error)
    else:
        form.problem = submitting.sentence(error)


async def _top_up_page(visit: Visit, form: Form, status: int = 200) -> Answer:
    return await _page(visit, "credits_top_up.html", form, status)


async def _adjust_page(visit: Visit, form: Form, status: int = 200) -> Answer:
    return await _page(visit, "credits_adjust.html", form, status)


async def _page(visit: Visit, template: str, form: Form, status: int) -> Answer:
    account, error = None, None
    try:
        workspace = await visit.authority.call(admin.workspaces.get(visit.workspace_id))
        visit.parts.names.remember(workspace.id, workspace.name)
        account = await visit.authority.ledger(ledger.balance(visit.workspace_id))
    except CreditsUnknownError as unknown:
        error = unknown
    except UnavailableError:
        # A form is shown again even while the authority is away: nothing typed is lost.
        if visit.reading:
            raise
    return await visit.page(
        template, status, form=form, account=account, unknown=error, **await _place(visit)
    )


async def _changed_page(visit: Visit, credited: Credited | None, receipt: str) -> Answer:
    entry = credited.entry if credited is not None else None
    account: Account | None = credited.account if credited is not None else None
    return await visit.page(
        "credits_changed.html",
        entry=entry,
        account=account,
        before=entry is not None and entry.time < visit.now - _BEFORE,
        receipt=receipt,
        **await _place(visit),
    )


async def _place(visit: Visit) -> dict[str, object]:
    # An administrator need not belong to the workspace.
    role = await visit.parts.books.memberships.role(visit.workspace_id, visit.me.id)
    return {
        "section": "administration",
        "id": visit.workspace_id,
        "name": visit.parts.names.get(visit.workspace_id),
        "is_mine": role is not None,
    }
