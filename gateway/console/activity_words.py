"""What was done, as people say it: after who did it, before what it was done to."""

from __future__ import annotations

from typing import Final

KEYS: Final = (
    ("KeyService.IssueKey", "created the key"),
    ("KeyService.RotateKey", "rotated the key"),
    ("KeyService.UpdateKey", "changed the key"),
    ("KeyService.RevokeKey", "revoked the key"),
    ("KeyService.RevokeKeys", "revoked the key, with others"),
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

_WORDS: Final = {**dict(KEYS), **dict(PEOPLE)}


def sentence(action: str) -> str:
    """The words for *action*; its own name for what there are no words for."""
    return _WORDS.get(action, action)
