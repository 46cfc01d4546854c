"""Calls of OperationsService: who holds leases, and the versions of the pepper."""

from __future__ import annotations

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, call
from keyauthority.client.admin.records import Pepper, Sessions
from keyauthority.v1 import operations_service_pb2 as v1


def sessions() -> Call[Sessions]:
    """Every verifier that may hold a lease."""
    return call(v1.ListSessionsRequest(), v1.ListSessionsResponse, _sessions)


def peppers() -> Call[tuple[Pepper, ...]]:
    """The pepper versions, oldest first."""
    return call(v1.ListPeppersRequest(), v1.ListPeppersResponse, _peppers)


def add_pepper() -> Call[Pepper]:
    """A new version in the keyring file, which nothing uses until it is activated."""
    return call(v1.AddPepperRequest(), v1.AddPepperResponse, _pepper)


def activate_pepper(version: int) -> Call[Pepper]:
    """Has new secrets stored with the version."""
    return call(v1.ActivatePepperRequest(version=version), v1.ActivatePepperResponse, _pepper)


def retire_pepper(version: int) -> Call[Pepper]:
    """Retires the version, which no secret may use any more."""
    return call(v1.RetirePepperRequest(version=version), v1.RetirePepperResponse, _pepper)


def _sessions(reply: v1.ListSessionsResponse) -> Sessions:
    return Sessions(
        tuple(map(reading.session, reply.sessions)),
        reply.epoch,
        reply.revision,
        reply.lease.ToTimedelta(),
        reply.longest_wait.ToTimedelta(),
    )


def _peppers(reply: v1.ListPeppersResponse) -> tuple[Pepper, ...]:
    return tuple(map(reading.pepper, reply.peppers))


def _pepper(
    reply: v1.AddPepperResponse | v1.ActivatePepperResponse | v1.RetirePepperResponse,
) -> Pepper:
    return reading.pepper(reply.pepper)
