"""Verdicts that are not in memory: what waits is read together, and each question gets its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.replica.verdicts import READS_AT_ONCE
from keyauthority.v1.key_service_pb2 import IssueKeyResponse, RevokeKeyRequest
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, Verdict, VerifyRequest
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, issue, refusal, until_counted
from tests.rpc.syncing import started


@pytest.fixture
async def issued(root: Api, workspace: str) -> list[IssueKeyResponse]:
    return [await issue(root, workspace) for _ in range(5)]


class Questions:
    """Questions under way, each of which was counted when it had come."""

    def __init__(self, root: Api, registry: CollectorRegistry) -> None:
        self._root = root
        self._registry = registry
        self._secrets = 0

    async def come(self, *secrets: str, **fields: Any) -> asyncio.Future[Any]:
        """Asks about *secrets*; returns when the authority has taken the question in."""
        request: Any = BatchVerifyRequest(secrets=secrets, fresh=True, **fields)
        if len(secrets) == 1:
            request = VerifyRequest(secret=secrets[0], fresh=True, **fields)
        asking = started(self._root(request))
        self._secrets += len(secrets)
        await until_counted(self._registry, "cache_misses_total", self._secrets)
        return asking


@pytest.fixture
def questions(root: Api, registry: CollectorRegistry) -> Questions:
    return Questions(root, registry)


async def busy(questions: Questions, books: GatedBooks, secret: str) -> list[Any]:
    """All reads are under way: they have read, and are not answered yet."""
    books.answers.close()
    under_way = []
    for number in range(READS_AT_ONCE):
        under_way.append(await questions.come(secret))
        async with asyncio.timeout(20):
            while books.reads <= number:  # noqa: ASYNC110  # what it asks can't wake us
                await asyncio.sleep(0.005)
    return under_way


async def test_what_waits_is_read_together(
    questions: Questions, books: GatedBooks, issued: list[IssueKeyResponse]
) -> None:
    """Single questions and batches alike; each gets the verdicts that it asked for, in order."""
    first, *others = [one.secret for one in issued]
    under_way = await busy(questions, books, first)
    alone = [await questions.come(secret) for secret in others]
    together = await questions.come(*reversed(others), "noise")
    books.answers.open()
    await asyncio.gather(*under_way)

    assert [(await one).key.id for one in alone] == [one.key.id for one in issued[1:]]
    answers = (await together).answers
    assert [one.key.id for one in answers] == [*(one.key.id for one in issued[:0:-1]), ""]
    assert answers[-1].verdict == Verdict.VERDICT_MALFORMED
    assert books.reads == READS_AT_ONCE + 1


async def test_a_question_takes_only_what_was_read_after_it_came(
    root: Api, questions: Questions, books: GatedBooks, issued: list[IssueKeyResponse]
) -> None:
    """What is under way may have been read before a revocation that has returned since."""
    secret = issued[0].secret
    under_way = await busy(questions, books, secret)
    await root(RevokeKeyRequest(key_id=issued[0].key.id))
    late = await questions.come(secret)
    books.answers.open()
    await asyncio.gather(*under_way)

    assert (await late).verdict == Verdict.VERDICT_REVOKED


async def test_each_is_held_to_the_revision_that_it_asked_for(
    questions: Questions, books: GatedBooks, issued: list[IssueKeyResponse]
) -> None:
    """One that asks for a state that is not reached yet fails alone."""
    secret = issued[0].secret
    await busy(questions, books, secret)
    early, good = await questions.come(secret, at_least_revision=7), await questions.come(secret)
    books.answers.open()

    assert (await refusal(early)).reason == "REVISION_NOT_REACHED"
    assert (await good).verdict == Verdict.VERDICT_VALID
    assert books.reads == READS_AT_ONCE + 1
