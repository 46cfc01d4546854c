"""The call being served: who made it, and what the log and the audit know it by."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc.aio

from keyauthority.domain.callers import Actor, Caller, Person
from keyauthority.v1.wire import REQUEST_ID

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"

_is_request_id = re.compile(r"[\x21-\x7e]{1,64}").fullmatch
_call: ContextVar[Call] = ContextVar("call")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `method` is for instance `KeyService.RevokeKey`."""

    caller: Caller
    method: str
    source: str
    request_id: str
    person: Person | None = None

    def actor(self) -> Actor:
        """Who acts in this call, for the domain."""
        return Actor(self.caller, self.method, self.source, self.request_id, self.person)

    def begin(self) -> None:
        """Makes this the call that `current_actor` speaks of, for the rest of its task."""
        _call.set(self)


def current_actor() -> Actor:
    """Who acts in the call being served."""
    return _call.get().actor()


def current_request_id(context: Context) -> str:
    """The id of the call being served, which may have been refused before it began."""
    begun = _call.get(None)
    return begun.request_id if begun is not None else request_id(context)


def request_id(context: Context) -> str:
    """The id the caller gave the call if it gave a sane one, else a fresh one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _is_request_id(value):
            return value
    return secrets.token_hex(8)


def source(context: Context) -> str:
    """The peer's address, as gRPC writes it but without its escapes."""
    return context.peer().replace("%5B", "[").replace("%5D", "]")
