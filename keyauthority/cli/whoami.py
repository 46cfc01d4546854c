"""`keyauthority whoami`: who the credential is, and what it may do."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.options import Options
from keyauthority.cli.output import Answer, details, word
from keyauthority.client.admin import Caller, identity


@click.command("whoami")
@click.pass_obj
@with_authority
def command(authority: Authority, options: Options) -> Answer:
    """Show who the token is, and what it may do."""
    reply, answer = authority.call(identity.who_am_i())
    caller = answer.caller
    fields = [
        ("caller", caller.id),
        ("name", caller.name),
        ("roles", roles_of(caller)),
        ("workspaces", " ".join(caller.workspace_ids) or "all"),
        ("for people", "yes" if caller.acts_for_people else "no"),
        ("token", f"{caller.token_hint} of {options.token_file}"),
        ("authority", options.address),
    ]
    return Answer(reply, details(fields), brief=caller.id)


def roles_of(caller: Caller) -> str:
    """Returns the roles of a caller, as words."""
    return " ".join(map(word, caller.roles))
