"""Calls for verdicts: about one secret, or about several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from keyauthority.client.attempts import error_info
from keyauthority.client.lines import Question
from keyauthority.client.verification import Verification, VerificationUnavailable, read
from keyauthority.coherence.cache import Ask, CoherentCache
from keyauthority.domain import secrets
from keyauthority.domain.errors import Reason
from keyauthority.domain.sessions import Head
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    VerifyRequest,
    VerifyResponse,
)

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

Answer = Verification | VerificationUnavailable


class _Unjudged(Exception):  # noqa: N818 - it says what a secret is
    """The authority can't judge one of several secrets."""


class VerdictCalls:
    """Asks the authority for verdicts, and keeps them in the cache.

    Args:
        stub: The authority.
        metadata: The verifier's credential.
        cache: What the verdicts are kept in.
        now: The clock of the lease.
        timeout: Seconds in which a verdict is had.
    """

    def __init__(
        self,
        stub: VerificationServiceAsyncStub,
        metadata: tuple[tuple[str, str], ...],
        cache: CoherentCache[Verification],
        now: Callable[[], float],
        timeout: float,
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._cache = cache
        self._now = now
        self._timeout = timeout

    async def verdicts(self, questions: Sequence[Question]) -> Sequence[Answer] | None:
        """Returns the answers to *questions*, in their order, by one call.

        Returns None if one of several can't be judged: the call then has no answer about the others,
        and a call about each alone may have.
        """
        try:
            return await self._answers(questions)
        except VerificationUnavailable as outage:
            return [outage] * len(questions)
        except _Unjudged:
            return None

    async def probe(self) -> None:
        """Returns if the authority answers from its books. Raises `VerificationUnavailable`."""
        secret = secrets.mint(secrets.new_id("key")).reveal()
        ask = self._cache.ask(self._now())
        await self._replies([secret], ask, self._timeout)

    async def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        presented = [question.secret for question in questions]
        deadline, pause = self._now() + self._timeout, 0.0
        while (left := deadline - (start := self._now())) > 0:
            ask = self._cache.ask(start)
            replies = await self._replies(presented, ask, left)
            heads = {(reply.epoch, reply.revision) for reply in replies}
            if len(replies) != len(questions) or len(heads) != 1:
                raise VerificationUnavailable("the authority answers another question")
            if self._cache.stands(ask, Head(*heads.pop())):
                return [self._answer(ask, *pair) for pair in zip(questions, replies, strict=True)]
            # A change overtook the reply. If one overtakes the next reply too, the session has to
            # catch up with the authority.
            await asyncio.sleep(pause)
            pause = 0.01
        raise VerificationUnavailable("the authority answers by an older state")

    async def _replies(
        self, presented: Sequence[str], ask: Ask, seconds: float
    ) -> Sequence[VerifyResponse]:
        terms: dict[str, Any] = {"at_least_revision": ask.at_least, "fresh": ask.fresh}
        options: dict[str, Any] = {"timeout": seconds, "metadata": self._metadata}
        try:
            if len(presented) == 1:
                request = VerifyRequest(secret=presented[0], **terms)
                return [await self._stub.Verify(request, **options)]
            together = BatchVerifyRequest(secrets=presented, **terms)
            return (await self._stub.BatchVerify(together, **options)).answers
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            if len(presented) > 1 and _is_of_one(error):
                raise _Unjudged from None
            code = error.code() if isinstance(error, grpc.aio.AioRpcError) else None
            raise VerificationUnavailable(code.name if code else type(error).__name__) from None

    def _answer(self, ask: Ask, question: Question, reply: VerifyResponse) -> Answer:
        try:
            return self._keep(ask, question, reply)
        except VerificationUnavailable as unknown_verdict:
            return unknown_verdict

    def _keep(self, ask: Ask, question: Question, reply: VerifyResponse) -> Verification:
        verification = read(reply, ask.sent, self._now, self._cache)
        return self._cache.keep(ask, question.digest, verification, whole_key=reply.key_revoked)


def _is_of_one(error: BaseException) -> bool:
    # Every other failure would be that of a call about each secret alone, too.
    info = error_info(error)
    return info is not None and info.reason == Reason.KEYRING_MISMATCH.name
