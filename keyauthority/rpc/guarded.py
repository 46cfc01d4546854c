"""The server as services see it: whatever is registered here is served behind the guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"
Choose: TypeAlias = "Callable[[Metadata], Handler]"
"""Who handles a call, by its headers: nothing of its message is read yet."""
Wrap: TypeAlias = "Callable[[str, Handler], Choose]"
"""Puts the guard around the method at a path."""


class GuardedServer:
    """Stands where `add_…Servicer_to_server` wants a server.

    An interceptor would do the same for each call again; here each method is wrapped once, before
    the server starts.
    """

    def __init__(self, server: grpc.aio.Server, wrap: Wrap) -> None:
        self._methods = _Methods(wrap)
        server.add_generic_rpc_handlers((self._methods,))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Called by generated code with what it adds as generic handlers too: nothing is to do.

        Registered ones are found without a look at the headers, and grpc.aio waits for the next
        call of each of them anew whenever one call comes: with thirty methods that is dearer than
        all else it does.
        """

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Called by generated code, and by what has no registered methods."""
        self._methods.add(handlers)


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, wrap: Wrap) -> None:
        self._wrap = wrap
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._wrapped: dict[str, Choose] = {}

    def add(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """From now on the methods of *handlers* are among these."""
        self._handlers.extend(handlers)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        choose = self._wrapped.get(handler_call_details.method)
        if choose is None:
            choose = self._find(handler_call_details)
        # No such method: not kept, so that nobody can fill memory with names.
        return choose and choose(handler_call_details.invocation_metadata)

    def _find(self, details: grpc.HandlerCallDetails) -> Choose | None:
        for one in self._handlers:
            handler = one.service(details)
            if handler is not None:
                choose = self._wrapped[details.method] = self._wrap(details.method, handler)
                return choose
        return None
