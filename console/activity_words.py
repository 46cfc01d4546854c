"""What was done, as people say it: after who did it, before what it was done to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KEYS: Final = (
    ("KeyService.IssueKey", "created the key"),
    ("KeyService.RotateKey", "rotated the key"),
    ("KeyService.UpdateKey", "changed the key"),
    ("KeyService.RevokeKey", "revoked the key"),
    ("KeyService.RevokeKeys", "revoked, among others, the key"),
    ("VerificationService.RevokePresented", "revoked the key by its secret"),
    ("KeyService.ImportKeys", "imported the key"),
    ("WorkspaceService.CreateWorkspace", "created the workspace"),
    ("WorkspaceService.UpdateWorkspace", "changed the workspace"),
)
"""What the authority's audit calls it, and the words."""

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

_WORDS: Final = {**dict(KEYS), **dict(PEOPLE)}


# What was changed, where the details tell: which detail, what it says, and the words for that.
_TELLING: Final = {
    "KeyService.UpdateKey": (
        ("disabled", "true", "paused the key"),
        ("disabled", "false", "resumed the key"),
        ("fields", "disabled", "paused or resumed the key"),
        ("fields", "name", "renamed the key"),
        ("fields", "expire_time", "changed the expiry of the key"),
        ("fields", "scopes", "changed the scopes of the key"),
    ),
    "WorkspaceService.UpdateWorkspace": (
        ("suspended", "true", "suspended the workspace"),
        ("suspended", "false", "renamed or resumed the workspace"),
    ),
}


def sentence(action: str, details: Mapping[str, str] | None = None) -> str:
    """The words for *action*, so far as *details* tell; its own name where there are none."""
    for name, value, words in _TELLING.get(action, ()):
        if details and details.get(name) == value:
            return words
    return _WORDS.get(action, action)
