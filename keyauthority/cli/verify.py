"""`keyauthority verify`: ask whether a secret may act."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, details, pairs, word
from keyauthority.cli.values import read_secret
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest, VerifyResponse


@click.command("verify")
@with_authority
def command(authority: Authority) -> Answer:
    """Ask whether a secret, read from standard input or a prompt, may act.

    Exit status: 0 if it may, 1 if not.
    """
    answer = authority.call(
        authority.verification.Verify, VerifyRequest(secret=read_secret(), fresh=True)
    )
    return Answer(answer, _text(answer), exit_code=int(answer.verdict != Verdict.VERDICT_VALID))


def _text(answer: VerifyResponse) -> str:
    fields = [("verdict", word(Verdict.Name(answer.verdict), "VERDICT_"))]
    if answer.HasField("key"):
        key = answer.key
        fields += [
            ("key", key.id),
            ("name", key.name),
            ("workspace", key.workspace_id),
            ("scopes", " ".join(key.scopes) or "full access"),
        ]
        if key.labels:
            fields.append(("labels", pairs(dict(key.labels))))
    return details(fields)
