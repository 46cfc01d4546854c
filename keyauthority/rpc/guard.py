"""What every call passes before and after its method, in this order:

metrics · faults to statuses · lease · authentication · authorization · reading · decoding · shield ·
admission. Nothing of a message is read before its caller is known. Admission is innermost, so that a
change whose caller has left still takes up its place.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.rpc import call
from keyauthority.rpc.admission import Admission, Places
from keyauthority.rpc.call import Context, Metadata
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.errors import STATUS, Alarms, to_status
from keyauthority.rpc.leased import Leased
from keyauthority.rpc.metrics import CallMetrics, Tally
from keyauthority.rpc.mutations import MARGIN, Mutations, Progress
from keyauthority.rpc.quick import QuickHandler, Quickly
from keyauthority.rpc.service import Access, Method, Quick
from keyauthority.v1.wire import REQUEST_ID

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Choose: TypeAlias = "Callable[[Metadata], Handler | QuickHandler]"
"""Chooses the handler of a call by its headers, before anything of its message is read."""
Receive: TypeAlias = Callable[[Any, Context, str], Awaitable[tuple[Any, "Actor | Context"]]]
"""Admits the call of that id; returns its decoded request, and its actor (of strangers, its context)."""

log = structlog.get_logger()


class Guard:
    """Wraps each method once; streams (health, reflection) likewise.

    *longest_wait* returns the longest that a change waits for verifiers, in seconds. A change that
    still spreads *margin* seconds before its caller's deadline is answered so. A method is called
    with its request and the `Actor`; a method that is open to strangers, with gRPC's context.
    """

    def __init__(
        self,
        entrance: Entrance,
        mutations: Mutations,
        longest_wait: Callable[[], float],
        leased: Leased,
        metrics: CallMetrics,
        alarms: Alarms,
        margin: float = MARGIN,
    ) -> None:
        self._entrance = entrance
        self._leased = leased
        self._longest_wait = longest_wait
        self._mutations = mutations
        self._metrics = metrics
        self._alarms = alarms
        self._margin = margin
        self._admission = Admission()
        self._strangers = call.StrangersMessages()

    def wrap(self, rules: Method, behave: Any, quick: Quick | None) -> Choose:
        """Returns the choice of handlers for the method that *behave* serves.

        *quick* answers some requests from memory, if their caller is in memory as well.
        """
        request_class: Any = GetMessageClass(rules.contract.input_type)
        if rules.contract.client_streaming:
            exchange: Handler = grpc.stream_stream_rpc_method_handler(
                self._stream(rules, behave, None), request_class.FromString, call.encode
            )
            return lambda _: exchange
        receive = self._receiving(rules, request_class)
        if rules.streams:
            stream = self._stream(rules, behave, receive)
            watch: Handler = grpc.stream_stream_rpc_method_handler(stream, None, call.encode)
            return lambda _: watch
        if rules.changes:
            guarded = self._change(rules, behave, receive)
        else:
            guarded = self._read(rules, behave, receive)
        unary: Handler = grpc.unary_unary_rpc_method_handler(guarded, None, call.encode)
        # For strangers. The bytes on the wire are the same, but gRPC reads a unary request before it
        # calls the handler, and a stream only when the handler asks.
        streamed: Handler = grpc.stream_unary_rpc_method_handler(guarded, None, call.encode)
        recognised = self._entrance.recognised
        if quick is not None:
            tally = self._metrics.of(rules.label)
            entrance = self._entrance
            quickly = Quickly(quick, entrance.now, entrance.holds, guarded, tally.count_ok)

            def choose(metadata: Metadata) -> Handler | QuickHandler:
                caller = recognised(rules, metadata)
                return streamed if caller is None else QuickHandler(quickly, caller)

            return choose
        return lambda metadata: streamed if recognised(rules, metadata) is None else unary

    def _receiving(self, rules: Method, request_class: Any) -> Receive:
        read = self._strangers.read if rules.access is Access.OPEN else call.read_message
        enter = self._entrance.enter

        async def receive(
            message: Any, context: Context, request_id: str
        ) -> tuple[Any, Actor | Context]:
            actor = await enter(rules, context, request_id)
            # gRPC has read the message only where the caller was recognised by its headers.
            if type(message) is not bytes:
                message = await read(context)
                # It may have taken hours to come, and the caller may be revoked by now.
                actor = await enter(rules, context, request_id)
            # gRPC would decode for anybody, and log each failure.
            try:
                request = request_class.FromString(message)
            except DecodeError:
                raise invalid("request", "is no message of this method") from None
            return request, actor or context

        return receive

    def _read(self, rules: Method, behave: Any, receive: Receive) -> Any:
        tally, places = self._metrics.of(rules.label), self._admission.calls(rules.room)
        # A session is kept by what the primary confirms; an open method (health) says nothing of the
        # books.
        checked = not rules.keeps_session and rules.access is not Access.OPEN

        async def guarded(message: Any, context: Context) -> Any:
            started, request_id = time.perf_counter(), call.request_id(context)
            try:
                request, who = await receive(message, context, request_id)
                places.enter()
                try:
                    response = await behave(request, who)
                finally:
                    places.leave()
                if checked:
                    self._leased.check_answer(of_change=False)
            except BaseException as failure:
                await self._failed(failure, tally, started, rules, context, request_id)
                raise
            tally.count_ok(time.perf_counter() - started)
            return response

        return guarded

    def _change(self, rules: Method, behave: Any, receive: Receive) -> Any:
        tally, places = self._metrics.of(rules.label), self._admission.calls(rules.room)

        async def guarded(message: Any, context: Context) -> Any:
            async with self._passage(rules, tally, context) as request_id:
                request, actor = await receive(message, context, request_id)
                self._leased.check_before_change()
                left: float | None = context.time_remaining()  # None where there is no deadline
                response = await self._shielded(places, behave, request, actor, left)
                self._leased.check_answer(of_change=True)
                return response

        return guarded

    async def _shielded(
        self, places: Places, behave: Any, request: Any, actor: Any, left: float | None
    ) -> Any:
        self._mutations.check_open()
        progress = Progress(places)
        task = self._mutations.start(behave(request, replace(actor, on_durable=progress.made)))
        task.add_done_callback(lambda _: progress.give_up_place())
        seconds = None if left is None else max(left - self._margin, 0.0)
        if not await self._mutations.finish(task, seconds):
            progress.check_not_made(self._longest_wait())
            await self._mutations.finish(task, None)
        return task.result()

    def _stream(self, rules: Method, behave: Any, receive: Receive | None) -> Any:
        # A method yields its responses (reflection) or writes them itself (health).
        yields = inspect.isasyncgenfunction(behave)
        tally, places = self._metrics.of(rules.label), self._admission.streams(rules.room)

        async def guarded(message: Any, context: Context) -> None:
            async with self._passage(rules, tally, context) as request_id:
                if receive:
                    request, who = await receive(message, context, request_id)
                else:
                    request = message
                    who = await self._entrance.enter(rules, context, request_id) or context
                with places.place(context.peer()):
                    if yields:
                        async for response in behave(request, who):
                            await context.write(response)
                    else:
                        await behave(request, who)

        return guarded

    @asynccontextmanager
    async def _passage(self, rules: Method, tally: Tally, context: Context) -> AsyncIterator[str]:
        started, request_id = time.perf_counter(), call.request_id(context)
        try:
            yield request_id
        except BaseException as failure:
            await self._failed(failure, tally, started, rules, context, request_id)
            raise
        tally.count_ok(time.perf_counter() - started)

    async def _failed(
        self,
        failure: BaseException,
        tally: Tally,
        started: float,
        rules: Method,
        context: Context,
        request_id: str,
    ) -> None:
        # Counts the call and answers it. gRPC itself ends a call for the other failures.
        seconds = time.perf_counter() - started
        failure = self._leased.judged(failure)
        if isinstance(failure, KeyAuthorityError):
            self._alarms.notice(failure)
            tally.count(STATUS[failure.reason], seconds)
            await _abort(context, failure, request_id)
        elif isinstance(failure, asyncio.CancelledError | GeneratorExit):
            tally.count(grpc.StatusCode.CANCELLED, seconds)
        elif isinstance(failure, grpc.aio.AbortError):
            tally.count(grpc.StatusCode.UNKNOWN, seconds)
        elif isinstance(failure, Exception):
            tally.count(grpc.StatusCode.INTERNAL, seconds)
            log.error("internal_error", method=rules.label, request_id=request_id, exc_info=failure)
            fault = KeyAuthorityError(Reason.INTERNAL, "internal error", request_id=request_id)
            await _abort(context, fault, request_id)


async def _abort(context: Context, error: KeyAuthorityError, request_id: str) -> None:
    await context.abort_with_status(to_status(error, (REQUEST_ID, request_id)))
