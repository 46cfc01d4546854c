"""`keyauthority verify`: ask whether a secret may act."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, details, pairs, word
from keyauthority.cli.values import read_secret
from keyauthority.client import Verdict, VerificationUnavailable
from keyauthority.client.admin import verification
from keyauthority.client.verification import Verification
from keyauthority.domain.secrets import Secret


@click.command("verify")
@with_authority
def command(authority: Authority) -> Answer:
    """Ask whether a secret, read from standard input or a prompt, may act.

    Exit status: 0 if it may, 1 if not.
    """
    try:
        reply, verified = authority.call(verification.verify(Secret(read_secret())))
    except VerificationUnavailable as error:
        raise click.ClickException(
            f"the authority answered what this version does not know ({error}): update keyauthority "
            "on this machine"
        ) from None
    return Answer(reply, _text(verified), exit_code=int(verified.verdict is not Verdict.VALID))


def _text(verified: Verification) -> str:
    fields = [("verdict", word(verified.verdict))]
    key = verified.key
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
