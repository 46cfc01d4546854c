"""One call about several secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from keyauthority.client.asking import Answer
from keyauthority.client.attempts import is_of_the_question
from keyauthority.client.strangers import Question
from keyauthority.client.verification import Verification, VerificationUnavailable, read
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.sessions import Head
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, VerifyResponse

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub


async def ask_all(
    stub: VerificationServiceAsyncStub,
    metadata: tuple[tuple[str, str], ...],
    cache: CoherentCache[Verification],
    questions: Sequence[Question],
    now: Callable[[], float],
    seconds: float,
) -> list[Answer]:
    """The answers to *questions*, in their order; each is kept in *cache*, by the clock *now*.

    Raises:
        VerificationUnavailable: There is none to any of them: one by one there may be.
    """
    sent = now()
    ask = cache.ask(sent)
    request = BatchVerifyRequest(
        secrets=[question.secret for question in questions],
        at_least_revision=ask.at_least,
        fresh=ask.fresh,
    )
    try:
        replies = (await stub.BatchVerify(request, timeout=seconds, metadata=metadata)).answers
    except (grpc.RpcError, grpc.aio.BaseError) as error:
        outage = VerificationUnavailable(type(error).__name__)
        if isinstance(error, grpc.RpcError) and is_of_the_question(error):
            raise outage from None
        # Nobody can be asked: one by one they would find out the same.
        return [outage] * len(questions)
    heads = {(reply.epoch, reply.revision) for reply in replies}
    if len(replies) != len(questions) or len(heads) != 1:
        raise VerificationUnavailable("the authority answers another question")
    if not cache.stands(ask, Head(*heads.pop())):
        raise VerificationUnavailable("the authority answers by an older state")

    def kept(question: Question, reply: VerifyResponse) -> Answer:
        try:
            verification = read(reply, sent, now, cache)
        except VerificationUnavailable as strange:
            return strange
        return cache.keep(ask, question.digest, verification, whole_key=reply.key_revoked)

    return [kept(*pair) for pair in zip(questions, replies, strict=True)]
