"""`keyauthority verify`: ask whether a secret is accepted."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, details, pairs, word
from keyauthority.cli.values import read_secret
from keyauthority.client import Verdict, VerificationUnavailable
from keyauthority.client.admin import verification as calls
from keyauthority.client.verification import Verification
from keyauthority.domain.secrets import Secret


@click.command("verify")
@with_authority
def command(authority: Authority) -> Answer:
    """Ask whether a secret is accepted. It is read from standard input or a prompt.

    Exit status: 0 if it is accepted, 1 if not.
    """
    try:
        reply, verification = authority.call(calls.verify(Secret(read_secret())))
    except VerificationUnavailable as error:
        raise click.ClickException(
            f"the authority answered what this version does not know ({error}): update keyauthority "
            "on this machine"
        ) from None
    refused = verification.verdict is not Verdict.VALID
    return Answer(reply, _text(verification), exit_code=int(refused), brief="")


def _text(verification: Verification) -> str:
    fields = [("verdict", word(verification.verdict))]
    key = verification.key
    if key is not None:
        fields += [
            ("key", key.id),
            ("name", key.name),
            ("workspace", key.workspace_id),
            ("scopes", " ".join(key.scopes) or "full access"),
        ]
        if key.labels:
            fields.append(("labels", pairs(key.labels)))
    return details(fields)
