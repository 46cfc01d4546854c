"""The server as services see it: whatever is registered here is served behind the guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Wrap: TypeAlias = "Callable[[str, Handler], Handler]"
"""Puts the guard around the method at a path."""


class GuardedServer:
    """Stands where `add_…Servicer_to_server` wants a server.

    An interceptor would do the same for each call again; here each method is wrapped once, before
    the server starts.
    """

    def __init__(self, server: grpc.aio.Server, wrap: Wrap) -> None:
        self._server = server
        self._wrap = wrap

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Called by generated code."""
        wrapped = {name: self._wrap(f"/{service}/{name}", one) for name, one in handlers.items()}
        self._server.add_registered_method_handlers(service, wrapped)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Called by generated code, and by what has no registered methods."""
        self._server.add_generic_rpc_handlers([_Guarded(one, self._wrap) for one in handlers])


class _Guarded(grpc.GenericRpcHandler):
    def __init__(self, handler: grpc.GenericRpcHandler, wrap: Wrap) -> None:
        self._handler = handler
        self._wrap = wrap
        self._wrapped: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        path = handler_call_details.method
        if path not in self._wrapped:
            handler = self._handler.service(handler_call_details)
            # No such method: not kept, so that nobody can fill memory with names.
            if handler is None:
                return None
            self._wrapped[path] = self._wrap(path, handler)
        return self._wrapped[path]
