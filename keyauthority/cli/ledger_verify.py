"""`keyauthority ledger verify`: that the ledger of a workspace, or of all, adds up."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import entries
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, count, entry_count
from keyauthority.cli.terminal import counted
from keyauthority.client.admin import ledger, workspaces
from keyauthority.pricing.amounts import write

_PAGE = 1_000


@click.command()
@click.argument("workspace_id", metavar="[WORKSPACE]", required=False, type=WORKSPACE)
@with_authority
def verify(authority: Authority, workspace_id: str) -> Answer:
    """Prove that a workspace's ledger adds up; without a workspace, that of each.

    To list the workspaces takes the role admin beside biller.
    """
    if not workspace_id:
        return _verify_all(authority)
    reply, proof = authority.call(ledger.verify(workspace_id))
    if proof.faults:
        return Answer(reply, "\n".join(("It does not add up:", *proof.faults)), exit_code=1)
    return Answer(reply, f"It adds up: {_sum(proof.entries, proof.account.balance)}.", brief="")


def _verify_all(authority: Authority) -> Answer:
    ledgers = total = balance = 0
    wrong: dict[str, tuple[str, ...]] = {}
    every = entries(authority, "workspaces", workspaces.page, _PAGE)
    for workspace in counted(every, "Ledgers"):
        workspace_id = workspace.record.id
        _, proof = authority.call(ledger.verify(workspace_id))
        ledgers += 1
        total += proof.entries
        balance += proof.account.balance
        if proof.faults:
            wrong[workspace_id] = proof.faults
    document = {
        "ledgers": ledgers,
        "entries": total,
        "balance": write(balance),
        "wrong": [{"workspace_id": one, "faults": list(faults)} for one, faults in wrong.items()],
    }
    summary = f"{count(ledgers, 'ledger')}: {_sum(total, balance)}."
    if not wrong:
        return Answer(document, f"All add up. {summary}", brief="")
    lines = [f"{one}: {fault}" for one, faults in wrong.items() for fault in faults]
    head = f"{len(wrong):,} of {summary} These do not add up:"
    return Answer(document, "\n".join((head, *lines)), exit_code=1)


def _sum(entries: int, balance: int) -> str:
    return f"{entry_count(entries)}, {write(balance)} credits"
