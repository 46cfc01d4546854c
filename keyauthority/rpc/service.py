"""The descriptor of a service: who may call it, how many calls at once, and what serves it.

Whether a method changes anything is read from its contract, never guessed from its name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.descriptor_pool import DescriptorPool

from keyauthority.domain.books import Books
from keyauthority.domain.callers import Role
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.edge.scopes import ScopeRules
from keyauthority.replica.syncing import Syncing
from keyauthority.replica.verdicts import Verdicts
from keyauthority.rpc.admission import Room
from keyauthority.rpc.health import Health
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.pages import Pages

Quick: TypeAlias = Callable[[bytes, float], bytes | None]
"""Answers a serialised request at once, at a time by the clock of leases, or not at all."""


class Access(enum.Enum):
    """Who may call a service that asks for no role: anybody, or any known caller."""

    OPEN = enum.auto()
    AUTHENTICATED = enum.auto()


class ServiceError(Exception):
    """A service can't be served as its descriptor says. The message says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What servicers are made of: a process has one of each."""

    books: Books
    store: Store
    keyring: Keyring
    clock: Clock
    last_used: LastUsed
    verdicts: Verdicts
    syncing: Syncing
    pages: Pages
    metrics: CallMetrics
    charge_rates: ChargeRates
    # What keys with scopes may do; None: the upstream judges that.
    scope_rules: ScopeRules | None
    # The clock of leases.
    now: Callable[[], float]
    health: Health
    # The names of all services, for reflection.
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """One method and the rules it is under."""

    contract: MethodDescriptor
    # Names the method in the audit, logs and metrics: `KeyService.RevokeKey`.
    label: str
    access: Role | Access
    room: Room
    # Whether it changes the books' records.
    changes: bool
    # Whether it keeps a verifier's session. Changes wait for sessions, so such a method is served
    # until the last fence ends. What it writes is confirmed by the primary, or fails.
    keeps_session: bool
    # Whether a caller may name the person it acts for. Verdicts are the same for everybody.
    for_people: bool

    @property
    def service(self) -> str:
        """The service's full name: `keyauthority.v1.KeyService`."""
        name: str = self.contract.containing_service.full_name
        return name

    @property
    def path(self) -> str:
        """The method's name in gRPC: `/keyauthority.v1.KeyService/RevokeKey`."""
        return f"/{self.service}/{self.contract.name}"

    @property
    def streams(self) -> bool:
        """Whether a call may stay for days."""
        return bool(self.contract.client_streaming or self.contract.server_streaming)


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its contract's name, and what the contract does not say.

    `session_methods` are those that keep a verifier's session, each with its room. `quick` has, by
    method, what answers some requests from memory. A `foreign` service has a contract that is not
    ours and says nothing of changes: its methods make none, and none is called for a person. `pool`
    is where the contract is.
    """

    name: str
    access: Role | Access
    room: Room
    servicer: Callable[[Parts], object]
    session_methods: Mapping[str, Room] = field(default_factory=dict)
    quick: Mapping[str, Callable[[Parts], Quick]] = field(default_factory=dict)
    foreign: bool = False
    pool: DescriptorPool = field(default_factory=descriptor_pool.Default)

    @property
    def is_described(self) -> bool:
        """Whether reflection describes it: it does so by the default pool."""
        return self.pool is descriptor_pool.Default()

    def methods(self) -> list[Method]:
        """Returns the contract's methods; raises `ServiceError` if they aren't as described here."""
        try:
            contract: ServiceDescriptor = self.pool.FindServiceByName(self.name)
        except KeyError:
            raise ServiceError(f"{self.name} has no contract") from None
        strays = {*self.session_methods, *self.quick} - {method.name for method in contract.methods}
        if strays:
            raise ServiceError(f"{self.name} has no {' nor '.join(sorted(strays))}")
        methods = [self._method(method) for method in contract.methods]
        for method in methods:
            _check(method)
        return methods

    def _method(self, contract: MethodDescriptor) -> Method:
        keeps_session = contract.name in self.session_methods
        level = contract.GetOptions().idempotency_level
        changes = level != MethodOptions.NO_SIDE_EFFECTS and not keeps_session and not self.foreign
        return Method(
            contract,
            f"{contract.containing_service.name}.{contract.name}",
            self.access,
            self.session_methods.get(contract.name, self.room),
            changes,
            keeps_session,
            for_people=changes or not (self.foreign or self.access is Role.VERIFIER),
        )


def _check(method: Method) -> None:
    if method.changes and method.access is Access.OPEN:
        raise ServiceError(f"{method.label} lets strangers change something")
    places = method.room.streams if method.streams else method.room.calls
    if places < 1:
        raise ServiceError(f"{method.label} has no places: {method.room}")
