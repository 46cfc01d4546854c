"""Serving services: each of their methods is registered with the guard around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from keyauthority.rpc.guard import Choose, Guard
from keyauthority.rpc.parts import Parts
from keyauthority.rpc.service import Service, ServiceError


def add_services(
    services: Sequence[Service], parts: Parts, server: grpc.aio.Server, guard: Guard
) -> None:
    """Has *server* serve *services*, behind *guard*.

    An interceptor would guard each call anew; here each method is wrapped once, before the server
    starts. Raises `ServiceError` if something is missing that a call would only find later.
    """
    methods: dict[str, Choose] = {}
    for service in services:
        servicer = service.servicer(parts)
        for method in service.methods():
            behave = getattr(servicer, method.contract.name, None)
            if behave is None:
                raise ServiceError(f"{type(servicer).__name__} doesn't serve {method.label}")
            if method.path in methods:
                raise ServiceError(f"{method.service} is there more than once")
            quick = service.quick.get(method.contract.name)
            methods[method.path] = guard.wrap(method, behave, quick and quick(parts))
    server.add_generic_rpc_handlers((_Methods(methods),))


class _Methods(grpc.GenericRpcHandler):
    # Not registered ones: these are found without a look at the headers, and grpc.aio waits for the
    # next call of each of them anew whenever one call comes; with thirty methods that is dearer than
    # all else it does.

    def __init__(self, methods: Mapping[str, Choose]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        choose = self._methods.get(handler_call_details.method)
        return choose and choose(handler_call_details.invocation_metadata)
