"""IdentityService."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from keyauthority.domain.callers import Actor
from keyauthority.rpc.callers import caller_message
from keyauthority.rpc.service import Parts
from keyauthority.v1 import identity_service_pb2 as v1
from keyauthority.v1.wire import timestamp


class IdentityServicer:
    """Serves every caller."""

    def __init__(self, parts: Parts) -> None:
        self._clock = parts.clock
        self._version = _version()

    async def WhoAmI(self, request: v1.WhoAmIRequest, actor: Actor) -> v1.WhoAmIResponse:
        return v1.WhoAmIResponse(
            caller=caller_message(actor.caller),
            server_time=timestamp(self._clock.now()),
            server_version=self._version,
        )


def _version() -> str:
    try:
        return version("opentoken-keyauthority")
    except PackageNotFoundError:
        return ""
