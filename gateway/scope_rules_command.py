"""`keyauthority-gateway scope-rules`: what keys with scopes may do."""

from __future__ import annotations

import click

from keyauthority.scopes.catalogue import DEFAULT_FILE, ScopeRulesError, load_catalogue


@click.command("scope-rules")
@click.argument("file", required=False)
def scope_rules(file: str | None) -> None:
    """Print the rules that ship; with FILE, check that file for --scope-rules and list its scopes."""
    if file is None:
        click.echo(DEFAULT_FILE.read_text(encoding="utf-8"), nl=False)
        return
    try:
        catalogue = load_catalogue(file)
    except ScopeRulesError as error:
        raise click.ClickException(str(error)) from None
    for scope in catalogue or ():
        click.echo(f"{scope.name}: {scope.description}")
