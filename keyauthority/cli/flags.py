"""The flags and arguments behind the fields that the authority names in its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import click

# Fields whose options have other names. An expiry may be either.
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "workspace_id": ("workspace_id", "workspace"),
    "workspace_ids": ("workspaces",),
    "expire_time": ("expires_at", "expires_in"),
    "ttl": ("expires_in",),
    "effective_time": ("time",),
    "start_time": ("start",),
    "end_time": ("end",),
    "before_time": ("older_than",),
    "group_by": ("groups",),
    "time_zone": ("zone",),
    "purchase_id": ("purchase",),
    "amount_nano_credits": ("amount",),
    "lease": ("length",),
}
_is_field: Final = re.compile(r"(?:\w+\[0\]\.)?([a-z_]+)(\[\d+\])?").fullmatch


def with_flag(message: str, field: str) -> str:
    """Returns *message*, which begins with *field*, with what was typed for the field instead.

    It is unchanged if the command that runs was not given such a thing.
    """
    parts = _is_field(field)
    if parts is None or not message.startswith(field):
        return message
    param = _typed(parts[1])
    if param is None:
        return message
    name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
    return f"{name}{parts[2] or ''}{message[len(field) :]}"


def _typed(field: str) -> click.Parameter | None:
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    typed = {
        str(param.name): param
        for param in context.command.params
        if param.name
        and context.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE
    }
    names = _OPTIONS.get(field, (field,))
    return next((typed[name] for name in names if name in typed), None)
