"""Callers are recognised from memory; strangers wait for their turn, and known callers never do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from keyauthority.base.process.clocks import boottime
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason, credential_invalid
from keyauthority.domain.secrets import TOKEN_PREFIX, mint, new_id
from keyauthority.domain.sessions import Head
from keyauthority.replica.credentials import MOST, REFUSED_FOR, CachedAuthenticating
from tests.conformance.records import a_caller

FLOOD = "ipv4:10.6.6.6:1000"
HOME = "ipv4:10.0.0.1:1000"


class Books:
    """Look-ups that take as long as the test wants, in the order in which they begin."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}
        self.asked: list[str] = []
        self.door = asyncio.Semaphore(0)

    async def by_token(self, token: str) -> Caller:
        self.asked.append(token)
        await self.door.acquire()
        if token not in self.callers:
            raise credential_invalid()
        return self.callers[token]

    async def by_certificate(self, names: Sequence[str]) -> Caller:
        return await self.by_token(names[0])

    def answer(self, number: int) -> None:
        for _ in range(number):
            self.door.release()


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def cache() -> Any:
    return CoherentCache(100)


@pytest.fixture
def credentials(books: Books, cache: Any) -> CachedAuthenticating:
    """One without a lease, as after a start or while its database is away: nothing is in memory."""
    stand_in: Any = books
    return CachedAuthenticating(stand_in, cache, boottime, at_once=2)


def a_token() -> str:
    return mint(new_id("caller"), TOKEN_PREFIX).reveal()


def accepted_token(books: Books) -> str:
    token = a_token()
    books.callers[token] = a_caller()
    return token


def flood(credentials: CachedAuthenticating, calls: int) -> list[asyncio.Task[Caller]]:
    return [asyncio.create_task(credentials.by_token(a_token(), FLOOD)) for _ in range(calls)]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def refusal(credentials: CachedAuthenticating, token: str) -> Reason:
    with pytest.raises(KeyAuthorityError) as caught:
        await credentials.by_token(token, HOME)
    return caught.value.reason


async def test_a_known_caller_waits_behind_no_stranger(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """Also when what is in memory of it has to be looked up again."""
    token = accepted_token(books)
    books.answer(1)
    await credentials.by_token(token, HOME)
    strangers = flood(credentials, 400)
    await settle()
    known = asyncio.create_task(credentials.by_token(token, FLOOD))
    await settle()
    # Two strangers at once, and the caller beside them.
    assert len(books.asked) == 1 + 2 + 1
    assert books.asked[-1] == token
    books.answer(3)
    assert await known == a_caller()
    await end(strangers)


async def test_a_newcomer_waits_for_one_of_each_others_calls(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """However many calls of another connection came before its own."""
    strangers = flood(credentials, 400)
    await settle()
    token = accepted_token(books)
    newcomer = asyncio.create_task(credentials.by_token(token, HOME))
    await settle()
    books.answer(4)
    assert await asyncio.wait_for(newcomer, 5) == a_caller()
    assert books.asked.index(token) <= 4
    await end(strangers)


async def test_places_come_back(books: Books, credentials: CachedAuthenticating) -> None:
    """Those who leave while they wait, or while they are looked up, hold up nobody."""
    strangers = flood(credentials, 50)
    await settle()
    await end(strangers)
    token = accepted_token(books)
    books.answer(1)
    assert await asyncio.wait_for(credentials.by_token(token, HOME), 5) == a_caller()


async def test_strangers_who_wait_are_bounded(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """A connection's next one is told that there is no room; another's comes in."""
    strangers = flood(credentials, 1_200)
    await settle()
    told = [task.exception() for task in strangers if task.done()]
    assert len(told) == 200
    assert {one.reason for one in told if isinstance(one, KeyAuthorityError)} == {Reason.OVERLOADED}
    newcomer = asyncio.create_task(credentials.by_token(accepted_token(books), HOME))
    books.answer(4)
    assert await asyncio.wait_for(newcomer, 5) == a_caller()
    await end(strangers)


async def test_calls_with_one_token_share_its_look_up(
    books: Books, cache: Any, credentials: CachedAuthenticating
) -> None:
    """A process that starts with a thousand calls asks once: the rest find it in memory."""
    call = cache.begin_sync(boottime())
    assert cache.apply(call, "session_1", Head(1, 7), None, 60.0)
    token = accepted_token(books)
    calls = [asyncio.create_task(credentials.by_token(token, HOME)) for _ in range(400)]
    await settle()
    books.answer(1)
    await asyncio.gather(*calls)
    assert books.asked == [token]


async def test_without_a_lease_each_call_has_a_look_up_of_its_own(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """What another's found may be older than the call, and its caller revoked since."""
    token = accepted_token(books)
    calls = [asyncio.create_task(credentials.by_token(token, HOME)) for _ in range(3)]
    await settle()
    assert books.asked == [token]
    books.answer(3)
    await asyncio.gather(*calls)
    assert books.asked == [token] * 3


async def test_a_refused_token_is_not_looked_up_again(
    books: Books, cache: Any, credentials: CachedAuthenticating
) -> None:
    """For a while: it is nobody's, and never will be anybody's."""
    assert cache.apply(cache.begin_sync(boottime()), "session_1", Head(1, 7), None, 60.0)
    token = a_token()
    books.answer(5)
    for _ in range(3):
        assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
    assert books.asked == [token]


async def test_a_refusal_without_a_lease_is_not_remembered(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """It may be an old primary's word, which lacks the callers that were created since."""
    token = a_token()
    books.answer(2)
    for _ in range(2):
        assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
    assert books.asked == [token, token]


async def test_a_malformed_token_is_not_looked_up(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """Noise is told by its checksum."""
    assert await refusal(credentials, a_token()[:-1] + "_") is Reason.CREDENTIAL_INVALID
    assert not books.asked


async def test_a_certificate_name_may_become_a_callers(
    books: Books, credentials: CachedAuthenticating
) -> None:
    """It is looked up each time, since it can be presented before it is given to a caller."""
    books.answer(5)
    with pytest.raises(KeyAuthorityError):
        await credentials.by_certificate(["gateway.internal"], HOME)
    books.callers["gateway.internal"] = a_caller()
    caller = await credentials.by_certificate(["gateway.internal"], HOME)
    assert caller == a_caller()


async def test_a_revoked_caller_is_known_no_more(
    books: Books, cache: Any, credentials: CachedAuthenticating
) -> None:
    """It is a stranger from the first look-up that does not find it, and waits as one."""
    token = accepted_token(books)
    books.answer(3)
    await credentials.by_token(token, HOME)
    del books.callers[token]
    assert cache.apply(cache.begin_sync(boottime()), "session_1", Head(1, 7), None, 60.0)
    assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
    assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
    assert books.asked == [token, token]


class Clock:
    """Tells the time that the test sets."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def leased_credentials(books: Books, cache: Any, clock: Clock) -> CachedAuthenticating:
    assert cache.apply(cache.begin_sync(clock()), "session_1", Head(1, 7), None, 60.0)
    stand_in: Any = books
    return CachedAuthenticating(stand_in, cache, clock)


async def test_a_refusal_holds_for_its_time(books: Books, cache: Any) -> None:
    """Then the token is looked up again."""
    clock = Clock()
    credentials = leased_credentials(books, cache, clock)
    token = a_token()
    books.answer(2)
    for seconds, looked_up in ((0.0, 1), (REFUSED_FOR - 0.1, 1), (REFUSED_FOR, 2)):
        clock.time = 100.0 + seconds
        assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
        assert len(books.asked) == looked_up


async def test_what_is_remembered_of_credentials_is_bounded(books: Books, cache: Any) -> None:
    """The oldest go first."""
    credentials = leased_credentials(books, cache, Clock())
    tokens = [a_token() for _ in range(MOST + 1)]
    books.answer(MOST + 2)
    for token in (*tokens, tokens[-1], tokens[0]):
        assert await refusal(credentials, token) is Reason.CREDENTIAL_INVALID
    assert books.asked == [*tokens, tokens[0]]
