"""What was done, as people say it: after who did it, before what it was done to."""

from __future__ import annotations

from typing import Final

from keyauthority.client.admin import Action, AuditEntry

ACTIONS: Final = {
    Action.KEY_ISSUED: "created the key",
    Action.KEY_IMPORTED: "imported the key",
    Action.KEY_PAUSED: "paused the key",
    Action.KEY_RESUMED: "resumed the key",
    Action.KEY_RENAMED: "renamed the key",
    Action.KEY_EXPIRY_CHANGED: "changed the expiry of the key",
    Action.KEY_SCOPES_CHANGED: "changed the scopes of the key",
    Action.KEY_LABELS_CHANGED: "changed the labels of the key",
    Action.KEY_CHANGED: "changed the key",
    Action.KEY_ROTATED: "rotated the key",
    Action.KEY_REVOKED: "revoked the key",
    Action.WORKSPACE_CREATED: "created the workspace",
    Action.WORKSPACE_RENAMED: "renamed the workspace",
    Action.WORKSPACE_SUSPENDED: "suspended the workspace",
    Action.WORKSPACE_RESUMED: "resumed the workspace",
    Action.WORKSPACE_CHANGED: "renamed or resumed the workspace",
}
"""What the authority's audit tells of a workspace, in words."""

RENAMED: Final = (Action.KEY_RENAMED, Action.WORKSPACE_RENAMED)
"""What is said with the old and the new name."""


def value_of(action: Action) -> str:
    """How an address writes an action: `key_revoked`."""
    return action.name.lower()


def action_of(value: str) -> Action | None:
    """The action that an address writes so, if it is one that can be chosen."""
    return _BY_VALUE.get(value)


_BY_VALUE: Final = {value_of(action): action for action in ACTIONS}

KEYS: Final = tuple((value_of(action), words) for action, words in ACTIONS.items())
"""What can be chosen of the audit, and the words."""

PEOPLE: Final = (
    ("invitation.create", "invited"),
    ("invitation.withdraw", "withdrew the invitation of"),
    ("member.add", "added"),
    ("member.role", "changed the role of"),
    ("member.remove", "removed"),
)
"""What the console's history of a workspace calls it, and the words."""

ITSELF: Final = {"member.add": "joined", "member.remove": "left"}
"""The words where somebody did it to themselves."""

OWNERS: Final = frozenset({"invitation.create", "invitation.withdraw"})
"""What only owners are told."""

_PEOPLE: Final = dict(PEOPLE)


def of_entry(entry: AuditEntry) -> str:
    """The words for what the audit tells; the method's name where there are none."""
    words = ACTIONS.get(entry.action, entry.method)
    if entry.action in RENAMED and "from" in entry.details:
        return f"{words} from {entry.details['from']} to"
    return f"{words} by its secret" if "by_secret" in entry.details else words


def of_event(action: str) -> str:
    """The words for what the console's history tells; its own name where there are none."""
    return _PEOPLE.get(action, action)
