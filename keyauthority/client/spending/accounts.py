"""All workspaces whose credits a verifier spends, and the session that their slices are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from keyauthority.client.spending.demand import Demand
from keyauthority.client.spending.pace import Pace
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.client.verifier import Verifier

CREDITS: Final = "/credits"
"""What the subject of a workspace's credits ends in, after the workspace's id."""


class Accounts:
    """The workspaces of *verifier*. One without activity is forgotten."""

    def __init__(self, verifier: Verifier, now: Callable[[], float], pace: Pace) -> None:
        self.epoch = 0
        """The newest era of the books that was heard of."""
        self.closing = False
        """Whether nothing more is asked for."""
        self._verifier = verifier
        self._now = now
        self._pace = pace
        self._workspaces: dict[str, WorkspaceCredits] = {}
        self._over = ""

    def __iter__(self) -> Iterator[WorkspaceCredits]:
        # A copy, since metrics are served in another thread.
        return iter(list(self._workspaces.values()))

    def open(self) -> None:
        """Begins to spend. Raises `RuntimeError` if the verifier has another spender."""
        if self._verifier.spends:
            raise RuntimeError("the verifier has another spender")
        self._verifier.spends = True
        self.epoch = self._verifier.epoch

    def retire(self) -> None:
        """Ends to spend, and lets the verifier have another spender."""
        self._verifier.spends = False

    def find(self, workspace_id: str) -> WorkspaceCredits | None:
        """Returns the workspace if anything is known of its credits."""
        return self._workspaces.get(workspace_id)

    def of(self, workspace_id: str) -> WorkspaceCredits:
        """Returns the workspace."""
        workspace = self._workspaces.get(workspace_id)
        if workspace is None:
            demand = Demand(self._now(), self._pace.period, self._pace.idle)
            workspace = WorkspaceCredits(workspace_id, demand, self._verifier.slice_numbers)
            self._workspaces[workspace_id] = workspace
        return workspace

    @property
    def session_id(self) -> str:
        """The living session, in the newest epoch, to ask for credits; empty if none is known."""
        session_id = self._verifier.session_id
        stands = session_id != self._over and self._verifier.epoch == self.epoch
        return session_id if stands and not self.closing else ""

    @property
    def is_leased(self) -> bool:
        """Whether the session's lease is in force."""
        return self._verifier.lease_held and self.session_id != ""

    def session_over(self, session_id: str) -> None:
        """Notes that the authority knows the session no more: its slices are closed."""
        self._over = session_id
        self.close_all()

    def close_all(self) -> None:
        """Never spends from any open slice again."""
        for workspace in self:
            workspace.close()

    def newer(self, epoch: int) -> None:
        """Notes a newer epoch, in which all slices are void."""
        self.epoch = epoch
        self.close_all()

    def forget_idle(self) -> None:
        """Forgets workspaces of which there is nothing."""
        for workspace in [one for one in self if one.is_empty]:
            del self._workspaces[workspace.id]
