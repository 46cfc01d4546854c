"""`keyauthority completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from keyauthority.cli.output import Answer

_SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_KEYAUTHORITY_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> Answer:
    """Print what makes SHELL complete commands and options.

    \b
    bash:  eval "$(keyauthority completion bash)"                   in ~/.bashrc
    zsh:   eval "$(keyauthority completion zsh)"                    in ~/.zshrc
    fish:  keyauthority completion fish > ~/.config/fish/completions/keyauthority.fish
    """  # noqa: D301 - click reads this escape
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click completes nothing in {shell}")
    script = kind(context.find_root().command, {}, "keyauthority", _VARIABLE).source()
    return Answer({"script": script}, script)
