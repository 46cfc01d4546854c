"""Brings what workspaces have to say to the authority, and takes its answers.

One message about a workspace is under way at a time, so that whoever waits joins the next one; those
about different workspaces don't wait for each other, since a long list of one's charges would delay
the other's requests. Calls for credits are sent at once. Charges wait for one of these, for others up
to `MOST`, or for a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from keyauthority.client.spending.accounts import Accounts
from keyauthority.client.spending.backlog import Backlog
from keyauthority.client.spending.calling import CallFailed, Calling
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.messages import ENTERED, REFUSED, Message, states_of, word_of
from keyauthority.client.spending.pace import Pace
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.room import MOST
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.workspace import Part, WorkspaceCredits
from keyauthority.v1 import spending_service_pb2 as v1

MOST_CALLS: Final = 16
"""Calls under way at a time."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
"""Seconds: the pause after a call that failed at once, doubled each time up to the longest."""

log = logging.getLogger("keyauthority.client")


class Settling:
    """Calls about the workspaces of *accounts*.

    Args:
        accounts: The workspaces.
        spool: Is told what is confirmed.
        calling: Makes the calls.
        counters: Count the charges.
        on_epoch: Called with an epoch that is newer than that of *accounts*.
        backlog: Brings charges that can't be brought here any more.
        now: The clock.
        pace: How long charges, and what goes back, wait.
    """

    def __init__(
        self,
        accounts: Accounts,
        spool: Spool,
        calling: Calling,
        counters: Counters,
        on_epoch: Callable[[int], None],
        backlog: Backlog,
        now: Callable[[], float],
        pace: Pace,
    ) -> None:
        self._accounts = accounts
        self._spool = spool
        self._calling = calling
        self._counters = counters
        self._on_epoch = on_epoch
        self._backlog = backlog
        self._now = now
        self._flush_after = pace.flush
        self._closes_after = pace.closes
        # Whether to say what nobody waits for, too.
        self._due: dict[WorkspaceCredits, bool] = {}
        self._patient: dict[WorkspaceCredits, None] = {}
        self._timers: dict[WorkspaceCredits, asyncio.TimerHandle] = {}
        self._charges_waiting = 0
        self._flushing: asyncio.TimerHandle | None = None
        self._scheduled: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._pause = FIRST_PAUSE
        self._resumes = 0.0
        self._loop = asyncio.get_running_loop()

    def prompt(self, workspace: WorkspaceCredits) -> None:
        """Says and asks at once what there is of the workspace."""
        self._due.setdefault(workspace, False)
        self._schedule()

    def closed(self, workspace: WorkspaceCredits) -> None:
        """Says soon what goes back, of slices that a change of the credits has closed.

        The acknowledgement of the change goes first: somebody waits for that, and not for this.
        """
        if workspace.line.waiters:
            self.prompt(workspace)
        elif workspace not in self._timers and not self._ended:
            self._timers[workspace] = self._loop.call_later(
                self._closes_after, self._waited, workspace
            )

    def note(self, workspace: WorkspaceCredits, charges: int = 0) -> None:
        """Says within a second what there is of the workspace, of which so many more are charges."""
        if self._ended:
            return
        self._patient[workspace] = None
        self._charges_waiting += charges
        if self._charges_waiting >= MOST:
            self._flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_later(self._flush_after, self._flush)

    def ended(self, workspace: WorkspaceCredits, charges: int) -> None:
        """Holds of the workspace have ended, of which so many were charged.

        Gives what is free now to those who wait, and says what there is of it.
        """
        if workspace.line.waiters and self._accounts.is_leased:
            workspace.serve(self._accounts.session_id)
        if charges or workspace.has_news:
            self.note(workspace, charges)

    async def finish(self, deadline: float) -> None:
        """Says all there is, until *deadline*, a time; then ends."""
        while (left := deadline - self._now()) > 0:
            news = [workspace for workspace in self._accounts if workspace.has_news]
            if not news and not self._tasks:
                break
            for workspace in news:
                self.note(workspace)
            self._flush()
            await asyncio.wait(
                [*self._tasks, self._loop.create_task(asyncio.sleep(min(left, FIRST_PAUSE)))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        self.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def end(self) -> None:
        """Says nothing from now on."""
        self._ended = True
        for handle in (self._flushing, self._scheduled, *self._timers.values()):
            if handle is not None:
                handle.cancel()
        for task in self._tasks:
            task.cancel()

    # --- sending

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._charges_waiting = 0
        self._due.update(dict.fromkeys(self._patient, True))
        self._patient.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._scheduled is None and not self._ended:
            self._scheduled = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = None
        wait = self._resumes - self._now()
        if wait > 0:
            self._scheduled = self._loop.call_later(wait, self._dispatch)
            return
        while self._due and len(self._tasks) < MOST_CALLS:
            message = self._message()
            if not message.parts:
                return
            for part in message.parts:
                part.workspace.under_way = True
            task = self._loop.create_task(self._send(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _message(self) -> Message:
        accounts, now = self._accounts, self._now()
        message, leased = Message(accounts.session_id), accounts.is_leased
        for workspace, flush in list(self._due.items()):
            if message.is_full:
                break
            del self._due[workspace]
            # What is under way is looked at again when it has ended.
            if workspace.under_way:
                continue
            part = workspace.part(message.session_id, message.room, now, leased=leased, flush=flush)
            if part is not None:
                message.add(part)
            elif workspace.line.waiters and message.parts:
                # There may have been too little room.
                self._due[workspace] = flush
            else:
                self._look_again(workspace, now)
        return message

    async def _send(self, message: Message) -> None:
        try:
            reply = await self._calling.settle(message.encoded())
        except CallFailed as failure:
            self._failed(message, failure)
        else:
            self._pause = FIRST_PAUSE
            self._take(message, reply)
        finally:
            now = self._now()
            for part in message.parts:
                part.workspace.under_way = False
                self._look_again(part.workspace, now)
                if part.workspace.has_closings:
                    # They came meanwhile, and others may wait for what is free in them.
                    self.closed(part.workspace)
            if self._due:
                self._schedule()

    def _look_again(self, workspace: WorkspaceCredits, now: float) -> None:
        # What there is to say of it later, now that no message about it is under way.
        if workspace.line.waiters and workspace not in self._timers and not self._ended:
            wait = max(
                workspace.not_before - now, 0.0 if self._accounts.session_id else FIRST_PAUSE
            )
            self._timers[workspace] = self._loop.call_later(wait, self._waited, workspace)
        if workspace.has_news:
            self.note(workspace)

    def _waited(self, workspace: WorkspaceCredits) -> None:
        del self._timers[workspace]
        self.prompt(workspace)

    def _failed(self, message: Message, failure: CallFailed) -> None:
        if self._pause == FIRST_PAUSE:
            log.warning("settle_failed: %s", failure)
        if not (failure.was_slow or failure.was_invalid):
            self._resumes = self._now() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        for part in message.parts:
            if failure.was_invalid:
                self._set_aside(part)
            self._due[part.workspace] = True

    def _set_aside(self, part: Part) -> None:
        # One charge that the authority does not take must not stop the others.
        names = [charge.reference for charge in part.charges]
        part.workspace.close()
        part.workspace.confirmed(names)
        self._backlog.set_aside(names)

    # --- answers

    def _take(self, message: Message, reply: v1.SettleResponse) -> None:
        charges, states = message.charges, states_of(reply)
        entered, refused = charges, list[SpooledCharge]()
        if states is not None:
            entered = [one for one, state in zip(charges, states, strict=True) if state in ENTERED]
            refused = [one for one, state in zip(charges, states, strict=True) if state in REFUSED]
        self._spool.confirmed([one.reference for one in entered], reply.epoch)
        if reply.epoch > self._accounts.epoch:
            self._on_epoch(reply.epoch)
        elif reply.epoch < self._accounts.epoch:
            # Of books that are no more: nothing of it counts.
            self._resumes = self._now() + LONGEST_PAUSE
            for part in message.calls:
                part.workspace.close()
            return
        self._counters.charges += len(entered)
        self._counters.estimated += sum([one.estimated for one in entered])
        self._counters.refused_charges += len(refused)
        done = {one.reference for one in (*entered, *refused)}
        for part in message.parts:
            part.workspace.confirmed(
                [one.reference for one in part.charges if one.reference in done]
            )
            part.workspace.closed(part.closings)
        if refused:
            self._backlog.refused([one.reference for one in refused])
        if reply.session_over:
            self._accounts.session_over(message.session_id)
        self._grant(message, reply)

    def _grant(self, message: Message, reply: v1.SettleResponse) -> None:
        now, leased = self._now(), self._accounts.is_leased
        living = message.session_id == self._accounts.session_id
        for part, answer in zip(message.calls, reply.slices, strict=False):
            if not living:
                # A grant to a session that is over is never spent.
                part.workspace.close()
            word, granted = word_of(answer), answer.granted_nano_credits
            part.workspace.answered(part, word, granted, now, leased=leased)
            if leased and living:
                part.workspace.serve(message.session_id)
