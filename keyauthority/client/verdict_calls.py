"""Calls for verdicts: about one secret, or about several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from keyauthority.client.attempts import is_of_the_question
from keyauthority.client.strangers import Question
from keyauthority.client.verification import Verification, VerificationUnavailable, read
from keyauthority.coherence.cache import Ask, CoherentCache
from keyauthority.domain import secrets
from keyauthority.domain.sessions import Head
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    VerifyRequest,
    VerifyResponse,
)

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

Answer = Verification | VerificationUnavailable


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

    async def verdict(self, question: Question) -> Verification:
        """Returns the verdict on one secret. Raises `VerificationUnavailable`."""
        deadline, pause = self._now() + self._timeout, 0.0
        while (left := deadline - (start := self._now())) > 0:
            ask = self._cache.ask(start)
            reply = await self._verify(question.secret, ask, left)
            if self._cache.stands(ask, Head(reply.epoch, reply.revision)):
                return self._keep(ask, question, reply)
            # A change overtook the reply. If one overtakes the next reply too, the session has to
            # catch up with the authority.
            await asyncio.sleep(pause)
            pause = 0.01
        raise VerificationUnavailable("the authority answers by an older state")

    async def verdicts(self, questions: Sequence[Question]) -> list[Answer]:
        """Returns the answers to *questions*, in their order.

        Raises:
            VerificationUnavailable: The call has no answers: a call about each secret may have.
        """
        ask = self._cache.ask(self._now())
        request = BatchVerifyRequest(
            secrets=[question.secret for question in questions],
            at_least_revision=ask.at_least,
            fresh=ask.fresh,
        )
        try:
            response = await self._stub.BatchVerify(
                request, timeout=self._timeout, metadata=self._metadata
            )
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            outage = VerificationUnavailable(type(error).__name__)
            if isinstance(error, grpc.RpcError) and is_of_the_question(error):
                raise outage from None
            # A call about each secret alone would fail in the same way.
            return [outage] * len(questions)
        replies = response.answers
        heads = {(reply.epoch, reply.revision) for reply in replies}
        if len(replies) != len(questions) or len(heads) != 1:
            raise VerificationUnavailable("the authority answers another question")
        if not self._cache.stands(ask, Head(*heads.pop())):
            raise VerificationUnavailable("the authority answers by an older state")
        return [self._answer(ask, *pair) for pair in zip(questions, replies, strict=True)]

    async def probe(self) -> None:
        """Returns if the authority answers from its books. Raises `VerificationUnavailable`."""
        secret = secrets.mint(secrets.new_id("key")).reveal()
        await self._verify(secret, self._cache.ask(self._now()), self._timeout)

    async def _verify(self, secret: str, ask: Ask, seconds: float) -> VerifyResponse:
        request = VerifyRequest(secret=secret, at_least_revision=ask.at_least, fresh=ask.fresh)
        try:
            return await self._stub.Verify(request, timeout=seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise VerificationUnavailable(error.code().name) from None
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            raise VerificationUnavailable(type(error).__name__) from None

    def _answer(self, ask: Ask, question: Question, reply: VerifyResponse) -> Answer:
        try:
            return self._keep(ask, question, reply)
        except VerificationUnavailable as unknown_verdict:
            return unknown_verdict

    def _keep(self, ask: Ask, question: Question, reply: VerifyResponse) -> Verification:
        verification = read(reply, ask.sent, self._now, self._cache)
        return self._cache.keep(ask, question.digest, verification, whole_key=reply.key_revoked)
