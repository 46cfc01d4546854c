"""The descriptor of a service: who may call it, how many at once, and what serves it.

What the contract says of a method (whether it changes anything) is read from there, and nothing is
guessed from a name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from keyauthority.domain.callers import Role
from keyauthority.rpc.admission import Room
from keyauthority.rpc.parts import Parts

Quick: TypeAlias = Callable[[bytes], bytes | None]
"""Answers a serialised request at once, or not at all."""


class Access(enum.Enum):
    """What a service asks of its caller, where that is not a role."""

    OPEN = enum.auto()
    AUTHENTICATED = enum.auto()


class ServiceError(Exception):
    """A service can't be served as its descriptor says. The message says why."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method and the rules it is under."""

    contract: MethodDescriptor
    # For the audit, logs and metrics: `KeyService.RevokeKey`.
    label: str
    access: Role | Access
    room: Room
    # Whether it changes the books' records.
    changes: bool
    # Whether it keeps a verifier's session: changes wait for these, so they are served until the
    # last fence ends. What they write is confirmed by the primary, or fails.
    keeps_session: bool
    # Whether it matters whom the caller acts for: to whoever is told a verdict it doesn't.
    for_people: bool

    @property
    def service(self) -> str:
        """For instance `keyauthority.v1.KeyService`."""
        name: str = self.contract.containing_service.full_name
        return name

    @property
    def path(self) -> str:
        """As gRPC calls it: `/keyauthority.v1.KeyService/RevokeKey`."""
        return f"/{self.service}/{self.contract.name}"

    @property
    def streams(self) -> bool:
        """Whether a call may stay for days."""
        return bool(self.contract.client_streaming or self.contract.server_streaming)


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its contract's name, and what is not said there.

    `session_methods` keep a verifier's session, each in the room beside it. `quick` has what
    answers some requests from memory, by method. A service `of_grpc` has a contract that is not
    ours and says nothing of changes: its methods make none, and none is called for a person.
    """

    name: str
    access: Role | Access
    room: Room
    servicer: Callable[[Parts], object]
    session_methods: Mapping[str, Room] = field(default_factory=dict)
    quick: Mapping[str, Callable[[Parts], Quick]] = field(default_factory=dict)
    of_grpc: bool = False

    def methods(self) -> list[Method]:
        """Every method of the contract; raises `ServiceError` if that is not as the descriptor says."""
        contract = self._contract()
        strays = {*self.session_methods, *self.quick} - {one.name for one in contract.methods}
        if strays:
            raise ServiceError(f"{self.name} has no {' nor '.join(sorted(strays))}")
        methods = [self._method(one) for one in contract.methods]
        for method in methods:
            _check(method)
        return methods

    def _contract(self) -> ServiceDescriptor:
        try:
            found: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(self.name)
        except KeyError:
            raise ServiceError(f"{self.name} has no contract") from None
        return found

    def _method(self, contract: MethodDescriptor) -> Method:
        keeps_session = contract.name in self.session_methods
        level = contract.GetOptions().idempotency_level
        changes = level != MethodOptions.NO_SIDE_EFFECTS and not keeps_session and not self.of_grpc
        return Method(
            contract,
            f"{contract.containing_service.name}.{contract.name}",
            self.access,
            self.session_methods.get(contract.name, self.room),
            changes,
            keeps_session,
            for_people=changes or not (self.of_grpc or self.access is Role.VERIFIER),
        )


def _check(method: Method) -> None:
    if method.changes and method.access is Access.OPEN:
        raise ServiceError(f"{method.label} lets strangers change something")
    places = method.room.streams if method.streams else method.room.calls
    if places < 1:
        raise ServiceError(f"{method.label} has no places: {method.room}")
