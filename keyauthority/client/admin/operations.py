"""Calls of OperationsService: who holds leases, and the versions of the pepper."""

from __future__ import annotations

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, call
from keyauthority.client.admin.records import Pepper, Sessions
from keyauthority.v1 import operations_service_pb2 as v1


def sessions() -> Call[Sessions]:
    """Returns the sessions of all verifiers that may hold a lease."""
    return call(v1.ListSessionsRequest(), v1.ListSessionsResponse, reading.sessions)


def peppers() -> Call[tuple[Pepper, ...]]:
    """Returns the pepper versions, oldest first."""
    return call(
        v1.ListPeppersRequest(),
        v1.ListPeppersResponse,
        lambda reply: tuple(map(reading.pepper, reply.peppers)),
    )


def add_pepper() -> Call[Pepper]:
    """Adds a version to the keyring file, which nothing uses until it is activated."""
    return call(v1.AddPepperRequest(), v1.AddPepperResponse, _pepper)


def activate_pepper(version: int) -> Call[Pepper]:
    """Has new secrets hashed with the version."""
    return call(v1.ActivatePepperRequest(version=version), v1.ActivatePepperResponse, _pepper)


def retire_pepper(version: int) -> Call[Pepper]:
    """Retires the version, which no secret may use any more."""
    return call(v1.RetirePepperRequest(version=version), v1.RetirePepperResponse, _pepper)


def _pepper(
    reply: v1.AddPepperResponse | v1.ActivatePepperResponse | v1.RetirePepperResponse,
) -> Pepper:
    return reading.pepper(reply.pepper)
