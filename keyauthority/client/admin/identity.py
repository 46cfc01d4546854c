"""Calls of IdentityService: who calls, and who answers."""

from __future__ import annotations

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, call
from keyauthority.client.admin.records import Identity
from keyauthority.v1 import identity_service_pb2 as v1


def who_am_i() -> Call[Identity]:
    """Returns the caller whose credential the call presents, and the authority that answers."""
    return call(v1.WhoAmIRequest(), v1.WhoAmIResponse, reading.identity)
