"""`keyauthority doctor`: what is wrong with the settings of this machine, and what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from keyauthority.base.process.settings import SettingsError
from keyauthority.base.relational.location import Location
from keyauthority.cli.doctor_authority import check_authority
from keyauthority.cli.doctor_here import (
    check_certificates,
    check_database,
    check_files,
    check_settings,
)
from keyauthority.cli.findings import Finding, Grade
from keyauthority.cli.options import Options
from keyauthority.cli.output import Answer, count, printable
from keyauthority.cli.terminal import styled
from keyauthority.cli.values import FILE, database_option, setting
from keyauthority.config import Settings


@click.command("doctor")
@setting("--listen", "Where `serve` listens.", metavar="HOST:PORT", default="127.0.0.1:50051")
@database_option
@setting("--keyring", "The file with the peppers.", type=FILE)
@setting("--tls-cert", "The certificate chain of `serve` (PEM).", type=FILE)
@setting("--tls-key", "The private key of that certificate (PEM).", type=FILE)
@setting("--tls-client-ca", "What certificates of clients come from (PEM).", type=FILE)
@setting("--allow-async-standby", "As for `serve`.", is_flag=True)
@click.pass_obj
def command(options: Options, /, **settings: Any) -> Answer:
    """Look for what is wrong with this machine's settings, and say what to mend.

    Checks the settings of `serve` that are in the environment, the modes of files, the database,
    certificates, whether the authority is reached and believes the token, the clocks, and whether
    verifiers are late. Changes nothing. Exit status: 0 if nothing failed, 1 otherwise.
    """
    findings = list(_findings(options, **settings))
    failures = sum(one.grade is Grade.FAILED for one in findings)
    warnings = sum(one.grade is Grade.WARNING for one in findings)
    rows = [
        {"grade": one.grade.value, "subject": one.subject, "sentence": one.sentence}
        for one in findings
    ]
    lines = "\n".join(map(_line, findings))
    summary = f"{count(failures, 'failure')}, {count(warnings, 'warning')}."
    wrong = (one for one in findings if one.grade in (Grade.FAILED, Grade.WARNING))
    return Answer(
        {"findings": rows},
        f"{lines}\n{summary}",
        exit_code=1 if failures else 0,
        brief="\n".join(map(_line, wrong)),
    )


def _findings(
    options: Options,
    *,
    database: Location | None,
    keyring: Path | None,
    **settings: Any,
) -> Iterator[Finding]:
    folder = options.data_dir
    location = database or folder / "keyauthority.db"
    checked: Settings | SettingsError
    try:
        checked = Settings(
            data_dir=folder,
            database=location,
            keyring=keyring or folder / "keyring.json",
            **settings,
        )
    except SettingsError as error:
        checked = error
    yield check_settings(checked)
    if isinstance(checked, Settings):
        yield from check_files(checked, options.token_file)
    yield check_database(location, allow_async_standby=settings["allow_async_standby"])
    yield from check_certificates(
        {
            "--tls-cert": settings["tls_cert"],
            "--tls-client-ca": settings["tls_client_ca"],
            "--tls-ca": options.tls_ca,
            "--tls-client-cert": options.tls_client_cert,
        }
    )
    yield from check_authority(options)


def _line(finding: Finding) -> str:
    return f"{styled(finding.grade.value.ljust(4))}  {finding.subject:<12}  {printable(finding.sentence)}"
