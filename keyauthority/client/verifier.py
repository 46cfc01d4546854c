"""Asking whether a secret may act: from a cache as coherent as the authority itself, or by a call.

from pathlib import Path

from keyauthority.client import Verdict, VerificationUnavailable, Verifier, load_token

token = load_token(Path("/run/secrets/verifier.token"))
async with Verifier("localhost:50051", token=token) as verifier:
    try:
        verification = await verifier.verify(presented)
    except VerificationUnavailable:
        return respond(503)  # neither let the request in nor call its key bad
    if verification.verdict is not Verdict.VALID:
        return respond(401)
    return serve(verification.key.workspace_id)
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import grpc

from keyauthority import boottime
from keyauthority.client.channel import connect
from keyauthority.client.credentials import bearer_metadata
from keyauthority.client.following import Following
from keyauthority.client.presented import MALFORMED, is_native, is_noise
from keyauthority.client.verification import Verification, VerificationUnavailable, read
from keyauthority.coherence.cache import Ask, CoherentCache
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.entries import digest_of
from keyauthority.domain import secrets
from keyauthority.domain.revisions import Head
from keyauthority.domain.secrets import Secret
from keyauthority.domain.verdicts import Verdict
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

MAX_CALLS: Final = 64
"""Calls under way at a time. Under a lease further ones wait their turn, else they are refused."""

MAX_WAITING: Final = 1_000
"""Secrets asked for at a time under a lease, those in line included."""

CAPACITY: Final = 100_000
"""Verdicts kept, each of less than a KiB."""

_UNKNOWN: Final = Verification(Verdict.UNKNOWN, None)

Waiter = asyncio.Future[Verification]


@dataclass(slots=True)
class Counters:
    """What a verifier did so far.

    `hits` were answered from the cache, `misses` were not; of these, `shed` were refused at once for
    want of a place, and `unavailable` got no verdict for whatever reason.
    """

    hits: int = 0
    misses: int = 0
    shed: int = 0
    unavailable: int = 0


class Verifier:
    """Verifies secrets; an async context manager.

    With the cache on it answers from memory and is right all the same: it holds a lease, is told of
    every change, and the authority tells nobody that a key is revoked before this verifier has
    dropped it or its lease is over. Without a lease (the authority is out of reach) every question
    is a call, and when that fails there is no verdict: it never accepts on a guess.

    Args:
        address: Where the authority listens, `HOST:PORT` or `unix:/PATH`.
        token: A service token with the role `verifier`.
        tls_ca: PEM file of the authority's certificate authority; None is plaintext, which only
            loopback and Unix sockets allow.
        timeout: Seconds after which no verdict counts as none.
        cache: Whether answers may come from memory; if not, the authority reads its database for
            each.
        name: What operators see this verifier as; by default host and process id.
        capacity: How many verdicts are kept.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Secret,
        tls_ca: Path | None = None,
        timeout: float = 0.5,
        cache: bool = True,
        name: str = "",
        capacity: int = CAPACITY,
    ) -> None:
        self.counters = Counters()
        self.on_change: Callable[[frozenset[str] | None], None] | None = None
        """Called, if set, with the ids of keys and workspaces that changed, once what was known of
        them is dropped; with None when all of it was."""
        self._address = address
        self._tls_ca = tls_ca
        self._metadata = bearer_metadata(token)
        self._timeout = timeout
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._cache: CoherentCache[Verification] = CoherentCache(capacity)
        if not cache or boottime.CLOCK is None:
            self._cache.leave()
        self._caching = cache and boottime.CLOCK is not None
        self._calls: Calls[Waiter] = Calls()
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._channel = connect(self._address, tls_ca=self._tls_ca)
        self._stub: VerificationServiceAsyncStub = VerificationServiceStub(self._channel)
        self._following = Following(
            self._cache, self._stub, self._metadata, self._name, self._changed
        )
        if self._caching:
            self._spawn(self._following.run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # First no hit any more, then no Sync, and only then is the authority told.
        self._cache.lose_lease()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._following.leave()
        await self._channel.close()

    def peek(self, secret: str) -> Verification | None:
        """Return the verdict on *secret* if it can be given without a call."""
        hit = self._cache.get(digest_of(secret), boottime.now())
        if hit is not None:
            self.counters.hits += 1
        return hit

    async def verify(self, secret: str) -> Verification:
        """Return the verdict on *secret*, as it was presented.

        Raises:
            VerificationUnavailable: No verdict could be had. Refuse to decide: neither accept the
                request nor tell the presenter that the key is bad.
        """
        digest = digest_of(secret)
        hit = self._cache.get(digest, boottime.now())
        if hit is not None:
            self.counters.hits += 1
            return hit
        self.counters.misses += 1
        if is_noise(secret):
            return MALFORMED
        try:
            return await self._ask(secret, digest)
        except VerificationUnavailable:
            self.counters.unavailable += 1
            raise

    async def probe(self) -> None:
        """Return if the authority answers this verifier from its books, as for a real secret.

        Raises:
            VerificationUnavailable: It does not.
        """
        # Beside the places: being busy is not being unready.
        ask = self._cache.ask(boottime.now())
        await self._call(secrets.mint(secrets.new_id("key")).reveal(), ask, self._timeout)

    @property
    def lease_held(self) -> bool:
        """Whether answers may come from the cache at the moment."""
        return self._cache.holds_lease(boottime.now())

    @property
    def lag(self) -> float:
        """Seconds since this verifier last knew to be up to date, as of when it asked."""
        return boottime.now() - self._following.heard

    @property
    def entries(self) -> int:
        """How many verdicts are kept."""
        return len(self._cache.entries)

    async def _ask(self, secret: str, digest: bytes) -> Verification:
        leased = self.lease_held
        if leased and not self._cache.foreign_secrets and not is_native(secret):
            return _UNKNOWN
        # Counted by what has arrived: those of one moment have not taken their places yet.
        if len(self._calls) >= (MAX_WAITING if leased else MAX_CALLS):
            self.counters.shed += 1
            raise VerificationUnavailable("too many calls under way")
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._calls.arrive(digest, waiter):
            self._spawn(self._run(secret, digest))
        try:
            async with asyncio.timeout(self._timeout):
                return await waiter
        except TimeoutError:
            raise VerificationUnavailable("no verdict in time") from None

    async def _run(self, secret: str, digest: bytes) -> None:
        # One call, for all who wait for it; then the next one, for those who came meanwhile.
        going = True
        while going:
            answer: Verification | VerificationUnavailable
            try:
                async with self._places:
                    answer = await self._verdict_if_wanted(secret, digest)
            except VerificationUnavailable as outage:
                answer = outage
            except Exception:
                _tell(self._calls.end(digest), VerificationUnavailable("internal error"))
                _tell(self._calls.waiting(digest), VerificationUnavailable("internal error"))
                raise
            _tell(self._calls.end(digest), answer)
            going = self._calls.proceed(digest)
            # Looked for only if wanted: what is found counts as used, and is kept for longer.
            if going and (hit := self._cache.get(digest, boottime.now())) is not None:
                _tell(self._calls.end(digest), hit)
                going = False

    async def _verdict_if_wanted(self, secret: str, digest: bytes) -> Verification:
        if all(waiter.done() for waiter in self._calls.running(digest)):
            # They gave up while it was in line: its place is for who still waits.
            raise VerificationUnavailable("nobody waits any more")
        return await self._verdict(secret, digest)

    async def _verdict(self, secret: str, digest: bytes) -> Verification:
        deadline, pause = boottime.now() + self._timeout, 0.0
        while (left := deadline - (sent := boottime.now())) > 0:
            ask = self._cache.ask(sent)
            reply = await self._call(secret, ask, left)
            if self._cache.stands(ask, Head(reply.epoch, reply.revision)):
                verification = read(reply, sent, self._cache)
                return self._cache.keep(ask, digest, verification, whole_key=reply.key_revoked)
            # Overtaken by a change, once; if again, the authority and the session have to meet.
            await asyncio.sleep(pause)
            pause = 0.01
        raise VerificationUnavailable("the authority answers by an older state")

    async def _call(self, secret: str, ask: Ask, seconds: float) -> VerifyResponse:
        request = VerifyRequest(secret=secret, at_least_revision=ask.at_least, fresh=ask.fresh)
        try:
            return await self._stub.Verify(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise VerificationUnavailable(_status_name(error)) from None
        except grpc.aio.BaseError as error:
            raise VerificationUnavailable(type(error).__name__) from None

    def _changed(self, subjects: frozenset[str] | None) -> None:
        if self.on_change is None:
            return
        try:
            self.on_change(subjects)
        except Exception as error:  # noqa: BLE001  # its fault must not end the lease
            told = {"message": "Verifier.on_change failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _tell(waiters: Iterable[Waiter], answer: Verification | Exception) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if isinstance(answer, Exception):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)


def _status_name(error: grpc.RpcError) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
