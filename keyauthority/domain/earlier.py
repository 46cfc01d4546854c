"""Audit entries without an action: derives the action from the method and the details.

Exports of older versions have such entries, and processes of an older version that share the
database write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from keyauthority.domain.facts import Action, Fact, length

_ACTIONS: Final = {
    "AuditService.PruneAuditEntries": Action.AUDIT_PRUNED,
    "CallerService.CreateCaller": Action.CALLER_CREATED,
    "CallerService.RevokeCaller": Action.CALLER_REVOKED,
    "KeyService.ImportKeys": Action.KEY_IMPORTED,
    "KeyService.IssueKey": Action.KEY_ISSUED,
    "KeyService.RevokeKey": Action.KEY_REVOKED,
    "KeyService.RevokeKeys": Action.KEY_REVOKED,
    "KeyService.RotateKey": Action.KEY_ROTATED,
    "KeyService.UpdateKey": Action.KEY_CHANGED,
    "OperationsService.ActivatePepper": Action.PEPPER_ACTIVATED,
    "OperationsService.AddPepper": Action.PEPPER_ADDED,
    "OperationsService.RetirePepper": Action.PEPPER_RETIRED,
    "VerificationService.RevokePresented": Action.KEY_REVOKED,
    "WorkspaceService.CreateWorkspace": Action.WORKSPACE_CREATED,
    "WorkspaceService.UpdateWorkspace": Action.WORKSPACE_CHANGED,
    "serve": Action.CALLER_CREATED,
}
_FIELDS: Final = {
    "expire_time": Action.KEY_EXPIRY_CHANGED,
    "labels": Action.KEY_LABELS_CHANGED,
    "name": Action.KEY_RENAMED,
    "scopes": Action.KEY_SCOPES_CHANGED,
}
_RESTORED: Final = {
    "key": Action.KEY_REVOKED,
    "caller": Action.CALLER_REVOKED,
    "ws": Action.WORKSPACE_CHANGED,
}
_parse_timedelta: Final = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)").fullmatch


def fact(method: str, subject: str, details: Mapping[str, str], *, refused: bool) -> Fact:
    """Returns what happened, as far as the entry shows."""
    if refused:
        return Fact(Action.ATTEMPT_REFUSED, details)
    if method == "db restore-epoch":
        # The restore wrote an entry for each record that it changed; the epoch's has no subject.
        action = _RESTORED.get(subject.partition("_")[0], Action.EPOCH_BEGUN)
    elif method == "KeyService.ImportKeys" and not subject.startswith("key_"):
        action = Action.IMPORTS_BEGUN
    else:
        action = _ACTIONS.get(method, Action.OTHER)
    if action is Action.KEY_CHANGED:
        # Of several fields, some may have kept their values.
        action = _FIELDS.get(details.get("fields", ""), action)
    if action is Action.WORKSPACE_CHANGED and details.get("suspended") == "true":
        action = Action.WORKSPACE_SUSPENDED
    if method == "VerificationService.RevokePresented":
        details = {**details, "by_secret": "true"}
    if "overlap" in details:
        details = {**details, "overlap": _overlap(details["overlap"])}
    return Fact(action, details)


def _overlap(text: str) -> str:
    # Older versions wrote `str(timedelta)`: `1 day, 0:00:00`.
    parts = _parse_timedelta(text)
    if parts is None:
        return text
    days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return length(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))
