"""Verifiers that break one rule each: those of the simulation's verifiers, and some of programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from benchmarks.scaling.virtual import now
from keyauthority.client.asking import Asking, Waiter
from keyauthority.client.following import Following
from keyauthority.client.lines import Question
from keyauthority.client.verdict_calls import VerdictCalls
from keyauthority.client.verification import Verification
from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict
from tests.coherence.recording import Parts
from tests.coherence.seeded import acknowledging, answers, fences, restarts

Cache = CoherentCache[Any]


class _LeaseFromReceipt(Cache):
    def apply(self, call: SyncCall, *rest: Any, **more: Any) -> bool:
        return super().apply(replace(call, sent=now()), *rest, **more)


class _NotDropped(Cache):
    def apply(
        self,
        call: SyncCall,
        session_id: str,
        head: Head,
        subjects: Iterable[str] | None,
        *rest: Any,
        **more: Any,
    ) -> bool:
        subjects = None if subjects is None else ()
        return super().apply(call, session_id, head, subjects, *rest, **more)


class _ResetIgnored(Cache):
    def apply(
        self,
        call: SyncCall,
        session_id: str,
        head: Head,
        subjects: Iterable[str] | None,
        *rest: Any,
        **more: Any,
    ) -> bool:
        return super().apply(call, session_id, head, subjects or (), *rest, **more)


class _Forever(Cache):
    def keep(self, ask: Ask, digest: bytes, entry: Any, **more: Any) -> Any:
        entry.until = math.inf
        return super().keep(ask, digest, entry, **more)


class _FromReceipt(Cache):
    def keep(self, ask: Ask, digest: bytes, entry: Any, **more: Any) -> Any:
        entry.until += now() - ask.sent
        return super().keep(ask, digest, entry, **more)


class _LeaseAtZero(Cache):
    def apply(
        self,
        call: SyncCall,
        session_id: str,
        head: Head,
        subjects: Iterable[str] | None,
        lease: float,
        **more: Any,
    ) -> bool:
        return super().apply(call, session_id, head, subjects, lease or 3.0, **more)


class _ClaimsNothing(Cache):
    def begin_sync(self, now: float) -> SyncCall:
        call = super().begin_sync(now)
        return replace(call, claim=replace(call.claim, revision=0))


class _KeepsSession(Cache):
    def session_gone(self, call: SyncCall) -> None:
        pass


class _NoCache(Cache):
    def get(self, digest: bytes, now: float) -> Any:
        return None


class _SyncsOnce(Following):
    async def run(self) -> None:
        call = self._cache.begin_sync(self._now())
        self._take(call, await self._sync(call))


class _GivesUp(Following):
    def _failed(self, call: SyncCall, error: Any) -> None:
        raise error


class _NeverLeaves(Following):
    async def leave(self) -> None:
        self._cache.leave()


class _Refuses(Asking):
    """Takes an outage for a refusal."""

    def ask(self, question: Question) -> Waiter:
        waiter = super().ask(question)
        refused: Waiter = waiter.get_loop().create_future()

        def answered(done: Waiter) -> None:
            error = done.exception()
            refused.set_result(Verification(Verdict.UNKNOWN, None) if error else done.result())

        waiter.add_done_callback(answered)
        return refused


class _ForeignAlways(Cache):
    def holds_lease(self, now: float) -> bool:
        return self.epoch > 0


class _Prolongs(Following):
    def _failed(self, call: SyncCall, error: Any) -> None:
        super()._failed(call, error)
        self._cache.lease_until = now() + 60.0


class _LosesNoLease(Cache):
    def lose_lease(self) -> None:
        pass


class _OldLeaseSurvives(Cache):
    def apply(self, *args: Any, **more: Any) -> bool:
        before = self.lease_until
        applied = super().apply(*args, **more)
        if applied:
            self.lease_until = max(self.lease_until, before)
        return applied


class _OlderEpochs(Cache):
    def _went_back(self, call: SyncCall, head: Head) -> bool:
        return head.epoch == self.epoch and super()._went_back(call, head)


class _AppliedOnly(Cache):
    def _went_back(self, call: SyncCall, head: Head) -> bool:
        return super()._went_back(replace(call, seen=0), head)


class _AskedInAnyEpoch(Cache):
    def stands(self, ask: Ask, head: Head) -> bool:
        return super().stands(replace(ask, epoch=self.epoch), head)


class _FirstOfBatch(VerdictCalls):
    async def _replies(self, presented: Sequence[str], ask: Ask, seconds: float) -> Any:
        replies = await super()._replies(presented, ask, seconds)
        return [replies[0]] * len(replies)


class _LateAcknowledgement(Following):
    def _rest(self, call: SyncCall) -> float:
        return 3.0


class _KeepsFirstSession(Cache):
    first = ""

    def apply(self, call: SyncCall, session_id: str, *rest: Any, **more: Any) -> bool:
        self.first = self.first or session_id
        return super().apply(call, self.first, *rest, **more)


BUGS: Final[Mapping[str, tuple[Parts, str]]] = {
    "does not set fresh": (
        Parts(cache_type=answers.NotFresh.cache_type),
        "fresh-until-the-first-grant",
    ),
    "accepts from its cache before the first grant": (
        Parts(cache_type=fences.NoLeaseCheck.cache_type),
        "fresh-until-the-first-grant",
    ),
    "has no cache": (Parts(cache_type=_NoCache), "answers-from-the-cache"),
    "takes a lease of zero for one": (Parts(cache_type=_LeaseAtZero), "no-lease-no-cache"),
    "answers after the lease": (
        Parts(cache_type=fences.NoLeaseCheck.cache_type),
        "a-lease-ends",
    ),
    "prolongs the lease by an error": (
        Parts(following_type=_Prolongs),
        "a-failed-sync-prolongs-no-lease",
    ),
    "keeps the lease with a refused credential": (
        Parts(cache_type=_LosesNoLease),
        "a-refused-credential-ends-the-lease",
    ),
    "counts the lease from the receipt": (
        Parts(cache_type=_LeaseFromReceipt),
        "a-lease-runs-from-its-sending",
    ),
    "does not read the clock": (
        Parts(cache_type=fences.NoLeaseCheck.cache_type),
        "a-lease-ends-while-the-process-is-stopped",
    ),
    "keeps verdicts for ever": (Parts(cache_type=_Forever), "cache-for-ends"),
    "counts cache_for from the receipt": (
        Parts(cache_type=_FromReceipt),
        "cache-for-runs-from-the-sending",
    ),
    "acknowledges without dropping": (
        Parts(cache_type=_NotDropped),
        "what-changed-is-dropped-and-acknowledged",
    ),
    "acknowledges nothing": (
        Parts(cache_type=_ClaimsNothing),
        "what-changed-is-dropped-and-acknowledged",
    ),
    "acknowledges late": (
        Parts(following_type=_LateAcknowledgement),
        "what-changed-is-dropped-and-acknowledged",
    ),
    "sends one Sync": (
        Parts(following_type=_SyncsOnce),
        "what-changed-is-dropped-and-acknowledged",
    ),
    "acknowledges what it has seen": (
        Parts(cache_type=acknowledging.AcknowledgeSeen.cache_type),
        "acknowledges-only-what-is-applied",
    ),
    "takes what a verdict tells of for applied": (
        Parts(cache_type=acknowledging.VerifyApplies.cache_type),
        "acknowledges-only-what-is-applied",
    ),
    "knows no workspaces": (
        Parts(cache_type=acknowledging.NoWorkspaces.cache_type),
        "a-workspace-is-all-its-keys",
    ),
    "ignores resets": (Parts(cache_type=_ResetIgnored), "a-reset-drops-everything"),
    "keeps verdicts in a new epoch": (
        Parts(cache_type=restarts.KeepsEntries.cache_type),
        "a-new-epoch-drops-everything",
    ),
    "keeps the lease at a new epoch": (
        Parts(cache_type=_OldLeaseSurvives),
        "a-new-epoch-ends-the-lease",
    ),
    "loses no lease at a new epoch": (
        Parts(cache_type=_LosesNoLease),
        "a-new-epoch-ends-the-lease",
    ),
    "applies an older epoch": (Parts(cache_type=_OlderEpochs), "no-grant-of-an-older-epoch"),
    "forgets REVOKED": (Parts(cache_type=answers.FinalDropped.cache_type), "revoked-is-final"),
    "replaces REVOKED": (Parts(cache_type=answers.FinalNeedsLease.cache_type), "revoked-is-final"),
    "keeps the other secrets of a revoked key": (
        Parts(cache_type=answers.KeepsOther.cache_type),
        "a-revoked-key-drops-its-other-secrets",
    ),
    "takes any revision": (
        Parts(cache_type=answers.AnyRevision.cache_type),
        "no-answer-older-than-what-is-applied",
    ),
    "takes what is below the newest seen": (
        Parts(cache_type=answers.BelowSeen.cache_type),
        "no-answer-older-than-what-is-seen",
    ),
    "asks for any revision": (
        Parts(cache_type=answers.NoAtLeast.cache_type),
        "no-answer-older-than-what-is-seen",
    ),
    "takes any epoch": (
        Parts(cache_type=answers.AnyEpoch.cache_type),
        "no-answer-of-another-epoch",
    ),
    "takes an epoch from a verdict": (
        Parts(cache_type=answers.EpochOfVerify.cache_type),
        "no-answer-of-another-epoch",
    ),
    "takes an answer from before a new epoch": (
        Parts(cache_type=_AskedInAnyEpoch),
        "no-answer-from-before-a-new-epoch",
    ),
    "takes the first verdict of a call for all": (
        Parts(verdicts_type=_FirstOfBatch),
        "each-secret-has-its-own-verdict",
    ),
    "takes the verdict of an earlier call": (
        Parts(calls_type=answers.LateJoiner.calls_type),
        "only-the-answer-of-a-later-call",
    ),
    "keeps verdicts at an alarm": (
        Parts(cache_type=restarts.KeepsAtAlarm.cache_type),
        "books-that-went-back-are-an-alarm",
    ),
    "keeps the lease at an alarm": (
        Parts(cache_type=_LosesNoLease),
        "books-that-went-back-are-an-alarm",
    ),
    "compares with what is applied alone": (
        Parts(cache_type=_AppliedOnly),
        "a-verdict-is-heard-of-too",
    ),
    "takes an answer from before an alarm": (
        Parts(cache_type=restarts.AskedBeforeAlarm.cache_type),
        "no-answer-from-before-an-alarm",
    ),
    "goes on with a session that is over": (
        Parts(cache_type=_KeepsSession),
        "a-lost-session-is-joined-anew",
    ),
    "keeps its first session": (
        Parts(cache_type=_KeepsFirstSession),
        "a-lost-session-is-joined-anew",
    ),
    "gives up after an error": (Parts(following_type=_GivesUp), "a-failed-sync-is-sent-again"),
    "takes an outage for a refusal": (Parts(asking_type=_Refuses), "an-outage-is-no-refusal"),
    "takes a verdict that it does not know for a refusal": (
        Parts(asking_type=_Refuses),
        "an-unknown-verdict-is-none",
    ),
    "answers for foreign secrets without a lease": (
        Parts(cache_type=_ForeignAlways),
        "foreign-secrets-are-asked-about",
    ),
    "does not leave": (Parts(following_type=_NeverLeaves), "leaves-when-it-ends"),
}
"""What is wrong, and the rule by which a check finds it."""
