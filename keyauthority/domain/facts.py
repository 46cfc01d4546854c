"""What can happen to the books: the vocabulary of the audit, its filters and the restore."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from keyauthority.domain.keys import Key
from keyauthority.domain.workspaces import Workspace


class Action(enum.Enum):
    """What happened. The contract has the same numbers and explains them."""

    KEY_ISSUED = 1
    KEY_IMPORTED = 2
    KEY_PAUSED = 3
    KEY_RESUMED = 4
    KEY_RENAMED = 5
    KEY_EXPIRY_CHANGED = 6
    KEY_SCOPES_CHANGED = 7
    KEY_LABELS_CHANGED = 8
    KEY_CHANGED = 9
    KEY_ROTATED = 10
    KEY_REVOKED = 11
    IMPORTS_BEGUN = 12
    WORKSPACE_CREATED = 13
    WORKSPACE_RENAMED = 14
    WORKSPACE_SUSPENDED = 15
    WORKSPACE_RESUMED = 16
    WORKSPACE_CHANGED = 17
    CALLER_CREATED = 18
    CALLER_REVOKED = 19
    PEPPER_ADDED = 20
    PEPPER_ACTIVATED = 21
    PEPPER_RETIRED = 22
    LEASE_CHANGED = 23
    EPOCH_BEGUN = 24
    EPOCH_SETTLED = 25
    AUDIT_PRUNED = 26
    RECORDS_SEALED = 27
    ATTEMPT_REFUSED = 28
    OTHER = 29
    CREDITS_ADDED = 30
    CREDITS_ADJUSTED = 31
    CREDITS_REFUNDED = 32
    CREDITS_EXPIRED = 33
    PRICE_SET = 34


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened. `details` hold no secret; the audit leaves out blank ones."""

    action: Action
    details: Mapping[str, str] = field(default_factory=dict)


def changed(action: Action, before: str, after: str, **details: str) -> Fact:
    """Returns the fact that a value changed."""
    return Fact(action, {"from": before, "to": after, **details})


def of_key(before: Key, after: Key) -> list[Fact]:
    """Returns a fact for each setting of a key that changed."""
    return [
        _of_setting(name, getattr(before.settings, name), getattr(after.settings, name))
        for name in before.settings.differing(after.settings)
    ]


def _of_setting(name: str, before: Any, after: Any) -> Fact:
    if name == "disabled":
        action = Action.KEY_PAUSED if after else Action.KEY_RESUMED
        return changed(action, _plain(before), _plain(after))
    if name not in _SETTINGS:
        return changed(Action.KEY_CHANGED, _plain(before), _plain(after), setting=name)
    action, text = _SETTINGS[name]
    return changed(action, text(before), text(after))


def of_workspace(before: Workspace, after: Workspace) -> list[Fact]:
    """Returns a fact for each field of a workspace that changed."""
    facts = []
    if before.name != after.name:
        facts.append(changed(Action.WORKSPACE_RENAMED, before.name, after.name))
    if before.suspended != after.suspended:
        action = Action.WORKSPACE_SUSPENDED if after.suspended else Action.WORKSPACE_RESUMED
        facts.append(changed(action, _plain(before.suspended), _plain(after.suspended)))
    return facts


def length(span: timedelta) -> str:
    """Returns a length of time in words: `24 hours`, `7 days`, `0.5 seconds`, `none`."""
    if not span:
        return "none"
    for unit, seconds, least in (("day", 86_400, 2), ("hour", 3_600, 1), ("minute", 60, 1)):
        count, rest = divmod(span, timedelta(seconds=seconds))
        if count >= least and not rest:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    number = f"{span.total_seconds():f}".rstrip("0").rstrip(".")
    return "1 second" if number == "1" else f"{number} seconds"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


def _moment(time: datetime | None) -> str:
    return "never" if time is None else time.isoformat().replace("+00:00", "Z")


def _scopes(scopes: tuple[str, ...]) -> str:
    return " ".join(scopes) or "full access"


def _labels(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(labels.items())), ensure_ascii=False)


_SETTINGS: Final[Mapping[str, tuple[Action, Callable[[Any], str]]]] = {
    "name": (Action.KEY_RENAMED, str),
    "expire_time": (Action.KEY_EXPIRY_CHANGED, _moment),
    "scopes": (Action.KEY_SCOPES_CHANGED, _scopes),
    "labels": (Action.KEY_LABELS_CHANGED, _labels),
}
"""The action of each setting's change, and the text of its values. Other settings: `KEY_CHANGED`."""
