"""What keys with scopes may do: the option `--scope-rules`, and `keyauthority-gateway scope-rules`."""

from __future__ import annotations

import click

from keyauthority.scopes.catalogue import (
    DEFAULT_FILE,
    Catalogue,
    ScopeRulesError,
    default_catalogue,
    load_catalogue,
)


def _catalogue(
    _context: click.Context, _option: click.Parameter, setting: str | None
) -> Catalogue | None:
    try:
        return default_catalogue() if setting is None else load_catalogue(setting)
    except ScopeRulesError as error:
        raise click.BadParameter(str(error)) from None


scope_rules_option = click.option(
    "--scope-rules",
    metavar="FILE|off",
    callback=_catalogue,
    help="What keys with scopes may do; `scope-rules` prints the rules that ship, with which to begin. "
    "off: the upstream judges scopes.  [default: the rules that ship]",
)
"""`--scope-rules`, which is read while the command line is."""


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
