"""What every call passes, in this order, before and after its method: written once, here.

Metrics · faults to statuses · authentication · authorization · decoding · shield · admission.
Admission is innermost, so that a change whose caller has left still takes up its place.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.rpc import call
from keyauthority.rpc.admission import PLACES, STREAMS, Admission, Mutations, Places
from keyauthority.rpc.alarms import ALARMS
from keyauthority.rpc.call import Context
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.errors import STATUS, to_status
from keyauthority.rpc.metrics import TALLIES, Tally
from keyauthority.rpc.policy import Method, method
from keyauthority.rpc.spreading import MARGIN, Progress

Decode: TypeAlias = Callable[[Any], Any]
Quick: TypeAlias = Callable[[bytes], bytes | None]
"""Answers a serialised request at once, or not at all."""
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

log = structlog.get_logger()


class Guard:
    """Wraps each method once; streams (health, reflection) likewise.

    *longest_wait* tells the longest that a change waits for verifiers, in seconds. *quick* has, by
    the label of their method, what answers some requests from memory.
    """

    def __init__(
        self,
        entrance: Entrance,
        mutations: Mutations,
        longest_wait: Callable[[], float],
        quick: Mapping[str, Quick],
    ) -> None:
        self._entrance = entrance
        self._quick = quick
        self._longest_wait = longest_wait
        self._mutations = mutations
        self._calls = Admission(PLACES)
        self._streams = Admission(STREAMS)

    def wrap(self, path: str, handler: Handler) -> Handler:
        """The method at *path*, guarded."""
        rules = method(path)
        encode = _encoder(handler.response_serializer)
        if handler.request_streaming:
            stream = self._stream(rules, handler.stream_stream, lambda requests: requests)
            return grpc.stream_stream_rpc_method_handler(
                stream, handler.request_deserializer, encode
            )
        decode = _decoder(handler.request_deserializer)
        if handler.response_streaming:
            stream = self._stream(rules, handler.unary_stream, decode)
            return grpc.unary_stream_rpc_method_handler(stream, None, encode)
        unary = self._change if rules.changes else self._read
        guarded = unary(rules, handler.unary_unary, decode)
        return grpc.unary_unary_rpc_method_handler(guarded, None, encode)

    def _read(self, rules: Method, behave: Any, decode: Decode) -> Any:
        tally, recognised = TALLIES.of(rules.label), self._entrance.recognised
        places = self._calls.of(rules)
        quick = self._quick.get(rules.label)

        async def guarded(sent: Any, context: Context) -> Any:
            started = time.perf_counter()
            try:
                if quick is not None and recognised(rules, context):
                    # Takes no place, since it is over at once, and nobody's name, since whoever is
                    # told a verdict does nothing that the audit keeps.
                    answer = quick(sent)
                    if answer is not None:
                        tally.count_ok(time.perf_counter() - started)
                        return answer
                await self._entrance.enter(rules, context)
                request = decode(sent)
                places.enter()
                try:
                    response = await behave(request, context)
                finally:
                    places.leave()
            except BaseException as failure:
                await _failed(failure, tally, started, rules, context)
                raise
            tally.count_ok(time.perf_counter() - started)
            return response

        return guarded

    def _change(self, rules: Method, behave: Any, decode: Decode) -> Any:
        tally, places = TALLIES.of(rules.label), self._calls.of(rules)

        async def guarded(sent: Any, context: Context) -> Any:
            async with self._passage(rules, tally, context):
                return await self._shielded(places, behave, decode(sent), context)

        return guarded

    async def _shielded(self, places: Places, behave: Any, request: Any, context: Context) -> Any:
        self._mutations.check_open()
        places.enter()
        progress = Progress(places.leave)
        task = self._mutations.start(_make(behave, request, context, progress))
        left: float | None = context.time_remaining()  # None where there is no deadline
        seconds = None if left is None else max(left - MARGIN, 0.0)
        if not await self._mutations.finish(task, seconds):
            progress.check_not_made(self._longest_wait())
            await self._mutations.finish(task, None)
        return task.result()

    def _stream(self, rules: Method, behave: Any, decode: Decode) -> Any:
        # A method yields its responses (reflection) or writes them itself (health).
        yields = inspect.isasyncgenfunction(behave)
        tally, places = TALLIES.of(rules.label), self._streams.of(rules)

        async def guarded(sent: Any, context: Context) -> None:
            async with self._passage(rules, tally, context):
                request = decode(sent)
                places.enter()
                try:
                    if yields:
                        async for response in behave(request, context):
                            await context.write(response)
                    else:
                        await behave(request, context)
                finally:
                    places.leave()

        return guarded

    @asynccontextmanager
    async def _passage(self, rules: Method, tally: Tally, context: Context) -> AsyncIterator[None]:
        started = time.perf_counter()
        try:
            await self._entrance.enter(rules, context)
            yield
        except BaseException as failure:
            await _failed(failure, tally, started, rules, context)
            raise
        tally.count_ok(time.perf_counter() - started)


async def _make(behave: Any, request: Any, context: Context, progress: Progress) -> Any:
    # In a task of its own, which its caller's departure leaves alone.
    with progress:
        return await behave(request, context)


async def _failed(
    failure: BaseException, tally: Tally, started: float, rules: Method, context: Context
) -> None:
    # Counts the call and answers it; what gRPC itself knows how to end is raised on by the caller.
    seconds = time.perf_counter() - started
    if isinstance(failure, KeyAuthorityError):
        ALARMS.notice(failure)
        tally.count(STATUS[failure.reason], seconds)
        await _abort(context, failure, call.current_request_id(context))
    elif isinstance(failure, asyncio.CancelledError | GeneratorExit):
        tally.count(grpc.StatusCode.CANCELLED, seconds)
    elif isinstance(failure, grpc.aio.AbortError):
        tally.count(grpc.StatusCode.UNKNOWN, seconds)
    elif isinstance(failure, Exception):
        tally.count(grpc.StatusCode.INTERNAL, seconds)
        request_id = call.current_request_id(context)
        log.error("internal_error", method=rules.label, request_id=request_id, exc_info=failure)
        fault = KeyAuthorityError(Reason.INTERNAL, "internal error", request_id=request_id)
        await _abort(context, fault, request_id)


def _decoder(deserialize: Decode | None) -> Decode:
    # Requests are taken apart here, when their caller is known and a fault finds its status; gRPC
    # would do it first, for anybody, and write each failure into the log.
    def decode(sent: bytes) -> Any:
        try:
            return deserialize(sent) if deserialize else sent
        except DecodeError:
            raise invalid("request", "is no message of this method") from None

    return decode


def _encoder(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    # A method may answer in bytes already: a verdict from memory does.
    if serialize is None:
        return None
    return lambda answer: answer if type(answer) is bytes else serialize(answer)


async def _abort(context: Context, error: KeyAuthorityError, request_id: str) -> None:
    await context.abort_with_status(to_status(error, (call.REQUEST_ID, request_id)))
