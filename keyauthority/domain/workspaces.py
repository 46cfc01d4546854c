"""A workspace: the tenant that owns keys and is billed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace. While it is suspended, its keys are refused and it can't get new ones.

    `version` counts the changes of the record.
    """

    id: str
    name: str
    suspended: bool
    create_time: datetime
    update_time: datetime
    version: int

    def updated(self, now: datetime, *, name: str, suspended: bool) -> Workspace:
        """Returns the workspace with these values; a workspace that has them unchanged."""
        if (name, suspended) == (self.name, self.suspended):
            return self
        return replace(
            self, name=name, suspended=suspended, update_time=now, version=self.version + 1
        )
