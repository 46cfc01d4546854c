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
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import grpc

from keyauthority.base.process.clocks import LEASE_CLOCK, LeaseClock
from keyauthority.client.accepted import Accepted
from keyauthority.client.asking import Answer, Asking
from keyauthority.client.batch import ask_all
from keyauthority.client.channel import connect
from keyauthority.client.credentials import ClientCertificate, bearer_metadata
from keyauthority.client.following import Following
from keyauthority.client.strangers import Question
from keyauthority.client.verification import (
    MALFORMED,
    Verification,
    VerificationUnavailable,
    is_native,
    is_noise,
    read,
)
from keyauthority.coherence.cache import Ask, CoherentCache
from keyauthority.coherence.entries import digest_of
from keyauthority.domain import secrets
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

CAPACITY: Final = 100_000
"""Verdicts kept, each of less than a KiB."""

_UNKNOWN: Final = Verification(Verdict.UNKNOWN, None)


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
        address: Where the authority listens, `HOST:PORT` or `unix:/PATH`; several replicas
            separated by commas, or as the addresses of one name. Each question that one of them
            leaves open is asked of another within `timeout`.
        token: A service token with the role `verifier`.
        tls_ca: PEM file of the authority's certificate authority; None is plaintext, which only
            loopback and Unix sockets allow.
        client_certificate: PEM files of a certificate chain and its private key, for an authority
            that connects nobody without one.
        timeout: Seconds after which no verdict counts as none.
        cache: Whether answers may come from memory; if not, the authority reads its database for
            each.
        name: What operators see this verifier as; by default host and process id.
        capacity: How many verdicts are kept.
        clock: What the lease is measured by: nothing is cached if it stands still while the machine
            sleeps.

    Secrets that were accepted before have places of their own for calls: they never wait behind a
    flood of unknown ones.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Secret,
        tls_ca: Path | None = None,
        client_certificate: ClientCertificate | None = None,
        timeout: float = 0.5,
        cache: bool = True,
        name: str = "",
        capacity: int = CAPACITY,
        clock: LeaseClock = LEASE_CLOCK,
    ) -> None:
        self.counters = Counters()
        self.on_change: Callable[[frozenset[str] | None], None] | None = None
        """Called, if set, with the ids of keys and workspaces that changed, once what was known of
        them is dropped; with None when all of it was."""
        self._address = address
        self._tls_ca = tls_ca
        self._client_certificate = client_certificate
        self._metadata = bearer_metadata(token)
        self._timeout = timeout
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._cache: CoherentCache[Verification] = CoherentCache(capacity)
        self._now = clock.now
        self._caching = cache and clock.counts_sleep
        if not self._caching:
            self._cache.leave()
        self._accepted = Accepted(self._cache.entries, capacity)
        self._asking = Asking(
            self._verdict_on,
            self._verdicts,
            self._cache,
            self._accepted,
            self._spawn,
            self._shed,
            self._now,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._channel = connect(
            self._address, tls_ca=self._tls_ca, client_certificate=self._client_certificate
        )
        self._stub: VerificationServiceAsyncStub = VerificationServiceStub(self._channel)
        self._following = Following(
            self._cache, self._stub, self._metadata, self._name, self._changed, self._now
        )
        if self._caching:
            self._spawn(self._following.run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # First no hit any more, then no Sync, and only then is the authority told.
        self._cache.lose_lease()
        for task in list(self._tasks):
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._following.leave()
        finally:
            await self._channel.close()

    def peek(self, secret: str, digest: bytes | None = None) -> Verification | None:
        """Return the verdict on *secret* if it can be given without a call.

        *digest* is `digest_of` the secret, where the caller has it.
        """
        hit = self._cache.get(digest or digest_of(secret), self._now())
        if hit is not None:
            self.counters.hits += 1
        return hit

    def knows(self, secret: str, digest: bytes | None = None) -> bool:
        """Tell whether the last verdict on *secret* was `VALID`, however long ago."""
        return self._accepted.knows(digest or digest_of(secret))

    async def verify(
        self,
        secret: str,
        *,
        source: str = "",
        suspect: bool = False,
        digest: bytes | None = None,
    ) -> Verification:
        """Return the verdict on *secret*, as it was presented.

        Args:
            secret: What was presented.
            source: Who presented it, such as an address. If many unknown secrets have to wait,
                those of different sources are asked for in turn.
            suspect: Whether that source has presented bad secrets lately: nobody else's unknown
                secrets wait behind those of suspects.
            digest: `digest_of` the secret, where the caller has it.

        Raises:
            VerificationUnavailable: No verdict could be had. Refuse to decide: neither accept the
                request nor tell the presenter that the key is bad.
        """
        digest = digest or digest_of(secret)
        hit = self._cache.get(digest, self._now())
        if hit is not None:
            self.counters.hits += 1
            return hit
        self.counters.misses += 1
        if is_noise(secret):
            return MALFORMED
        try:
            return await self._ask(Question(secret, digest, source, suspect))
        except VerificationUnavailable:
            self.counters.unavailable += 1
            raise

    async def probe(self) -> None:
        """Return if the authority answers this verifier from its books, as for a real secret.

        Raises:
            VerificationUnavailable: It does not.
        """
        # Beside the places: being busy is not being unready.
        ask = self._cache.ask(self._now())
        await self._call(secrets.mint(secrets.new_id("key")).reveal(), ask, self._timeout)

    @property
    def lease_held(self) -> bool:
        """Whether answers may come from the cache at the moment."""
        return self._cache.holds_lease(self._now())

    @property
    def lag(self) -> float:
        """Seconds since this verifier last knew to be up to date, as of when it asked."""
        return self._now() - self._following.heard

    @property
    def entries(self) -> int:
        """How many verdicts are kept."""
        return len(self._cache.entries)

    async def _ask(self, question: Question) -> Verification:
        if self.lease_held and not self._cache.foreign_secrets and not is_native(question.secret):
            return _UNKNOWN
        waiter = self._asking.ask(question)
        try:
            async with asyncio.timeout(self._timeout):
                return await waiter
        except TimeoutError:
            raise VerificationUnavailable("no verdict in time") from None

    def _shed(self, number: int) -> None:
        self.counters.shed += number

    async def _verdict_on(self, question: Question) -> Verification:
        return await self._verdict(question.secret, question.digest)

    async def _verdicts(self, questions: Sequence[Question]) -> list[Answer]:
        return await ask_all(
            self._stub, self._metadata, self._cache, questions, self._now, self._timeout
        )

    async def _verdict(self, secret: str, digest: bytes) -> Verification:
        deadline, pause = self._now() + self._timeout, 0.0
        while (left := deadline - (sent := self._now())) > 0:
            ask = self._cache.ask(sent)
            reply = await self._call(secret, ask, left)
            if self._cache.stands(ask, Head(reply.epoch, reply.revision)):
                verification = read(reply, sent, self._now, self._cache)
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


def _status_name(error: grpc.RpcError) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
