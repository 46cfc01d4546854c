"""Who may call what: a table of services, since they are cut by privilege. Not listed: refused."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from keyauthority.domain.callers import Role

PACKAGE: Final = "keyauthority.v1."


class Access(enum.Enum):
    """What a service asks of its caller, where that is not a role."""

    OPEN = enum.auto()
    AUTHENTICATED = enum.auto()
    NOBODY = enum.auto()


class Room(enum.Enum):
    """What calls take their places in, where that does not follow from their access."""

    SYNCING = enum.auto()


SERVICES: Final[dict[str, Role | Access]] = {
    PACKAGE + "VerificationService": Role.VERIFIER,
    PACKAGE + "KeyService": Role.ISSUER,
    PACKAGE + "WorkspaceService": Role.ADMIN,
    PACKAGE + "CallerService": Role.ADMIN,
    PACKAGE + "AuditService": Role.ADMIN,
    PACKAGE + "OperationsService": Role.ADMIN,
    "grpc.health.v1.Health": Access.OPEN,
    "grpc.reflection.v1.ServerReflection": Access.AUTHENTICATED,
    "grpc.reflection.v1alpha.ServerReflection": Access.AUTHENTICATED,
}

READING: Final = ("Get", "BatchGet", "List", "Lookup", "Verify", "BatchVerify", "Sync", "Leave")
"""How the methods of our services begin that change nothing in the books' records."""

SYNCING: Final = frozenset({"Sync", "Leave"})
"""The methods that changes wait for: never shed behind others, served until the last fence ends."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method and the rules it is under."""

    service: str
    name: str
    access: Role | Access
    # Where its calls take their places.
    room: Role | Access | Room
    changes: bool
    # Whether it matters whom the caller acts for: to whoever is told a verdict it doesn't.
    for_people: bool
    # For the audit, logs and metrics: `KeyService.RevokeKey`.
    label: str


def method(path: str) -> Method:
    """The rules for `/package.Service/Method`."""
    service, _, name = path.lstrip("/").partition("/")
    access = SERVICES.get(service, Access.NOBODY)
    room = Room.SYNCING if name in SYNCING else access
    changes = service.startswith(PACKAGE) and not name.startswith(READING)
    for_people = changes or (service.startswith(PACKAGE) and access is not Role.VERIFIER)
    label = f"{service.rpartition('.')[2]}.{name}"
    return Method(service, name, access, room, changes, for_people, label)
