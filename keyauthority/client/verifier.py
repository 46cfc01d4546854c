"""Verifies secrets from a cache that is as coherent as the authority itself, or by a call.

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
import functools
import os
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import grpc

from keyauthority.base.process.clocks import LEASE_CLOCK, LeaseClock
from keyauthority.client.accepted import Accepted
from keyauthority.client.asking import WAITING, Asking, Counters
from keyauthority.client.channel import connect
from keyauthority.client.credentials import ClientCertificate, bearer_metadata
from keyauthority.client.following import Following, OnChange
from keyauthority.client.lines import BATCH, Question
from keyauthority.client.verdict_calls import VerdictCalls
from keyauthority.client.verification import (
    MALFORMED,
    Verification,
    VerificationUnavailable,
    is_native,
    is_noise,
)
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import digest_of
from keyauthority.domain.secrets import Secret
from keyauthority.domain.verdicts import Verdict
from keyauthority.escrow.purse import SliceNumbers
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

CAPACITY: Final = 100_000
"""Verdicts in the cache, each of less than a KiB."""

_UNKNOWN: Final = Verification(Verdict.UNKNOWN, None)


@dataclass(frozen=True, slots=True)
class Connection:
    """A verifier's channel to the authority, and the metadata that each call has to carry."""

    channel: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...] = field(repr=False)


class Verifier:
    """Verifies secrets; an async context manager.

    With the cache on it answers from memory and is right all the same. It holds a lease and is told
    of every change; the authority confirms a change only when this verifier has dropped what it held
    of the changed key, or its lease is over. Without a lease, as when the authority is out of reach,
    each question is a call, and a call that fails gives no verdict: nothing is accepted on a guess.

    What waits for a verdict goes together in one call; what comes alone goes alone, at once. Secrets
    that were accepted before have calls of their own: they never wait behind a flood of unknown ones.

    Args:
        address: Where the authority listens, `HOST:PORT` or `unix:/PATH`; several replicas
            separated by commas, or as the addresses of one name. A question that one replica leaves
            open is asked of another within `timeout`.
        token: A service token with the role `verifier`.
        tls_ca: PEM file of the authority's certificate authority. None means plaintext, which only
            loopback and Unix sockets allow.
        client_certificate: PEM files of a certificate chain and its private key, for an authority
            that refuses clients without a certificate.
        timeout: Seconds in which a verdict has to come.
        cache: Whether answers may come from memory. If not, the authority reads its database for
            each.
        name: The verifier's name in the list of sessions; by default host and process id.
        capacity: Verdicts in the cache.
        waiting: Secrets of each kind (accepted before, others, those of suspect sources) that wait for
            a verdict at a time. What comes beyond that has none.
        batch: Secrets that one call asks about, at most.
        clock: The clock of the lease. A clock that stands still while the machine sleeps turns the
            cache off.
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
        waiting: int = WAITING,
        batch: int = BATCH,
        clock: LeaseClock = LEASE_CLOCK,
    ) -> None:
        self.counters = Counters()
        self.listeners: list[OnChange] = []
        """Each is called with the subjects that changed, in the step that drops their verdicts and
        before the authority hears of it; with None when all verdicts are dropped. Subjects are the ids
        of keys and workspaces, `WORKSPACE_ID/credits`, and `prices`."""
        self.spends = False
        """Whether a `Spender` is open over it."""
        self.slice_numbers = SliceNumbers()
        """Those of slices of its sessions: each `Spender` over it counts on."""
        self._connect = functools.partial(
            connect, address, tls_ca=tls_ca, client_certificate=client_certificate
        )
        self._metadata = bearer_metadata(token)
        self._timeout = timeout
        self._bounds = {"waiting": waiting, "batch": batch}
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._cache: CoherentCache[Verification] = CoherentCache(capacity)
        self._now = clock.now
        self._caching = cache and clock.counts_sleep
        if not self._caching:
            self._cache.leave()
        self._accepted = Accepted(self._cache.entries, capacity)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._channel = self._connect()
        stub: VerificationServiceAsyncStub = VerificationServiceStub(self._channel)
        self._verdicts = VerdictCalls(stub, self._metadata, self._cache, self._now, self._timeout)
        self._asking = Asking(
            self._verdicts,
            self._cache,
            self._accepted,
            self._spawn,
            self.counters,
            self._now,
            **self._bounds,
        )
        self._following = Following(
            self._cache, stub, self._metadata, self._name, self._changed, self._now
        )
        if self._caching:
            self._spawn(self._following.run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # First there are no more hits, then no Sync, and only then the authority learns of the end.
        self._cache.lose_lease()
        for task in list(self._tasks):
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._following.leave()
        finally:
            await self._channel.close()

    def peek(self, secret: str, digest: bytes | None = None) -> Verification | None:
        """Returns the verdict on *secret* if that needs no call; else None.

        *digest* is `digest_of` the secret, if the caller has it.
        """
        hit = self._cache.get(digest or digest_of(secret), self._now())
        if hit is not None:
            self.counters.hits += 1
        return hit

    def knows(self, secret: str, digest: bytes | None = None) -> bool:
        """Returns whether the last verdict on *secret* was `VALID`, however long ago."""
        return self._accepted.knows(digest or digest_of(secret))

    async def verify(
        self,
        secret: str,
        *,
        source: str = "",
        suspect: bool = False,
        digest: bytes | None = None,
    ) -> Verification:
        """Returns the verdict on *secret*, as it was presented.

        Args:
            secret: What was presented.
            source: Who presented it, such as an address. Unknown secrets that have to wait are
                asked about in turn, by their sources.
            suspect: Whether the source presented bad secrets lately. The unknown secrets of others
                never wait behind those of suspects.
            digest: `digest_of` the secret, if the caller has it.

        Raises:
            VerificationUnavailable: There is no verdict. Refuse to decide: neither accept the
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
        """Returns if the authority answers this verifier from its books, as for a real secret.

        Raises:
            VerificationUnavailable: The authority does not.
        """
        # Takes no place among the calls: a busy verifier is ready all the same.
        await self._verdicts.probe()

    @property
    def lease_held(self) -> bool:
        """Whether answers may come from the cache now."""
        return self._cache.holds_lease(self._now())

    @property
    def lag(self) -> float:
        """Seconds since the cache last held the newest state for sure."""
        return self._now() - self._following.heard

    @property
    def entries(self) -> int:
        """Verdicts in the cache."""
        return len(self._cache.entries)

    @property
    def caches(self) -> bool:
        """Whether it has a cache, and so a session."""
        return self._caching

    @property
    def session_id(self) -> str:
        """The id of the session; empty while there is none, known to be living."""
        return self._cache.session_id

    @property
    def epoch(self) -> int:
        """The era of the books that the session follows; 0 before the first."""
        return self._cache.epoch

    @property
    def revision(self) -> int:
        """The state up to which every change is applied."""
        return self._cache.applied

    @property
    def connection(self) -> Connection:
        """What calls of the authority's other services go by, while the context lasts."""
        return Connection(self._channel, self._metadata)

    async def _ask(self, question: Question) -> Verification:
        if self.lease_held and not self._cache.foreign_secrets and not is_native(question.secret):
            return _UNKNOWN
        waiter = self._asking.ask(question)
        try:
            async with asyncio.timeout(self._timeout):
                return await waiter
        except TimeoutError:
            raise VerificationUnavailable("no verdict in time") from None

    def _changed(self, subjects: frozenset[str] | None) -> None:
        for listener in self.listeners:
            try:
                listener(subjects)
            except Exception as error:  # noqa: BLE001  # must not end the lease
                context = {"message": "a listener of the verifier failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
