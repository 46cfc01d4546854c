"""What every call passes, in this order, before and after its method: written once, here.

Request id · metrics · faults to statuses · authentication · authorization · decoding · shield ·
admission. Admission is innermost, so that a change whose caller has left still takes up its place.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.domain.ports import Credentials
from keyauthority.rpc import call, metrics
from keyauthority.rpc.admission import PLACES, STREAMS, Admission, Mutations
from keyauthority.rpc.call import Context
from keyauthority.rpc.errors import STATUS, to_status
from keyauthority.rpc.policy import Access, Method, method
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.spreading import MARGIN, Progress

Decode: TypeAlias = Callable[[Any], Any]

log = structlog.get_logger()


class Guard(grpc.aio.ServerInterceptor):
    """The one interceptor. Wraps each method once; streams (health, reflection) likewise."""

    def __init__(
        self,
        authenticating: Credentials,
        refusals: Refusals,
        mutations: Mutations,
        longest_wait: Callable[[], float],
    ) -> None:
        self._authenticating = authenticating
        self._longest_wait = longest_wait
        self._refusals = refusals
        self._mutations = mutations
        self._calls = Admission(PLACES)
        self._streams = Admission(STREAMS)
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Called by gRPC for every call: hands it the guarded method."""
        path = handler_call_details.method
        if path not in self._wrapped:
            handler = await continuation(handler_call_details)
            # No such method: not kept, so that nobody can fill memory with names.
            if handler is None:
                return None
            self._wrapped[path] = self._wrap(method(path), handler)
        return self._wrapped[path]

    def _wrap(
        self, rules: Method, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        encode = handler.response_serializer
        if handler.request_streaming:
            stream = self._stream(rules, handler.stream_stream, lambda requests: requests)
            return grpc.stream_stream_rpc_method_handler(
                stream, handler.request_deserializer, encode
            )
        decode = _decoder(handler.request_deserializer)
        if handler.response_streaming:
            stream = self._stream(rules, handler.unary_stream, decode)
            return grpc.unary_stream_rpc_method_handler(stream, None, encode)
        unary = self._unary(rules, handler.unary_unary, decode)
        return grpc.unary_unary_rpc_method_handler(unary, None, encode)

    def _unary(self, rules: Method, behave: Any, decode: Decode) -> Any:
        async def guarded(sent: Any, context: Context) -> Any:
            async with self._passage(rules, context):
                request = decode(sent)
                if rules.changes:
                    return await self._changed(rules, behave, request, context)
                with self._calls.place(rules):
                    return await behave(request, context)

        return guarded

    async def _changed(self, rules: Method, behave: Any, request: Any, context: Context) -> Any:
        self._mutations.check_open()
        progress = Progress(self._calls.take(rules))
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

        async def guarded(sent: Any, context: Context) -> None:
            async with self._passage(rules, context):
                request = decode(sent)
                with self._streams.place(rules):
                    if yields:
                        async for response in behave(request, context):
                            await context.write(response)
                    else:
                        await behave(request, context)

        return guarded

    @asynccontextmanager
    async def _passage(self, rules: Method, context: Context) -> AsyncIterator[None]:
        request_id = call.request_id(context)
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            await self._enter(rules, context, request_id)
            yield
        except KeyAuthorityError as error:
            code = STATUS[error.reason]
            await _abort(context, error, request_id)
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code = grpc.StatusCode.UNKNOWN
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            log.exception("internal_error", method=rules.label, request_id=request_id)
            fault = KeyAuthorityError(Reason.INTERNAL, "internal error", request_id=request_id)
            await _abort(context, fault, request_id)
        finally:
            metrics.handled(rules.label, code.name)()
            metrics.observe(rules.label)(time.perf_counter() - started)

    async def _enter(self, rules: Method, context: Context, request_id: str) -> None:
        if rules.access is Access.OPEN:
            return
        try:
            caller = await self._authenticate(context)
        except KeyAuthorityError as error:
            if error.reason in (Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID):
                self._refusals.of_unknown(rules.label, call.source(context))
            raise
        current = call.Call(caller, rules.label, call.source(context), request_id)
        if isinstance(rules.access, Role) and rules.access in caller.roles:
            current.begin()
        elif rules.access is not Access.AUTHENTICATED:
            await self._mutations.run(self._refusals.of_caller(current.actor()))
            raise _role_missing(rules)

    async def _authenticate(self, context: Context) -> Caller:
        presented = [
            value for key, value in context.invocation_metadata() or () if key == "authorization"
        ]
        if presented:
            scheme, _, token = str(presented[0]).partition(" ")
            if len(presented) > 1 or scheme.lower() != "bearer":
                raise KeyAuthorityError(
                    Reason.CREDENTIAL_INVALID, "authorization must be one Bearer token"
                )
            return await self._authenticating.by_token(token)
        names = context.auth_context().get("x509_subject_alternative_name", ())
        if names:
            return await self._authenticating.by_certificate([name.decode() for name in names])
        raise KeyAuthorityError(
            Reason.CREDENTIAL_MISSING, "send a service token as `authorization: Bearer` metadata"
        )


async def _make(behave: Any, request: Any, context: Context, progress: Progress) -> Any:
    # In a task of its own, which its caller's departure leaves alone.
    with progress:
        return await behave(request, context)


def _decoder(deserialize: Decode | None) -> Decode:
    # Requests are taken apart here, when their caller is known and a fault finds its status; gRPC
    # would do it first, for anybody, and write each failure into the log.
    def decode(sent: bytes) -> Any:
        try:
            return deserialize(sent) if deserialize else sent
        except DecodeError:
            raise invalid("request", "is no message of this method") from None

    return decode


def _role_missing(rules: Method) -> KeyAuthorityError:
    role = rules.access.name.lower()
    return KeyAuthorityError(
        Reason.ROLE_MISSING,
        f"the caller lacks the role {role}",
        role=role,
        service=rules.service,
    )


async def _abort(context: Context, error: KeyAuthorityError, request_id: str) -> None:
    await context.abort_with_status(to_status(error, (call.REQUEST_ID, request_id)))
