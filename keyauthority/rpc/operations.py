"""OperationsService."""

from __future__ import annotations

from keyauthority.coherence.leases import longest_wait
from keyauthority.domain.callers import Actor
from keyauthority.domain.leasing import ListingSessions
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.rpc import convert
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import operations_service_pb2 as v1
from keyauthority.v1.wire import duration


class OperationsServicer:
    """Serves those who run the authority."""

    def __init__(self, parts: Parts) -> None:
        self._peppers = ManagingPeppers(parts.books, parts.keyring)
        self._sessions = ListingSessions(parts.books, parts.store.sessions)

    async def ListSessions(
        self, request: v1.ListSessionsRequest, actor: Actor
    ) -> v1.ListSessionsResponse:
        found = await self._sessions.all()
        return v1.ListSessionsResponse(
            sessions=[
                convert.session(one, found.caller_names.get(one.caller_id, ""), found.terms.lease)
                for one in found.sessions
            ],
            epoch=found.head.epoch,
            revision=found.head.revision,
            lease=duration(found.terms.lease),
            longest_wait=duration(longest_wait(found.terms.longest_lease)),
        )

    async def ListPeppers(
        self, request: v1.ListPeppersRequest, actor: Actor
    ) -> v1.ListPeppersResponse:
        peppers = await self._peppers.all()
        return v1.ListPeppersResponse(peppers=[convert.pepper(*one) for one in peppers])

    async def AddPepper(self, request: v1.AddPepperRequest, actor: Actor) -> v1.AddPepperResponse:
        pepper = await self._peppers.add(actor)
        return v1.AddPepperResponse(pepper=convert.pepper(pepper))

    async def ActivatePepper(
        self, request: v1.ActivatePepperRequest, actor: Actor
    ) -> v1.ActivatePepperResponse:
        pepper, uses = await self._peppers.activate(actor, request.version)
        return v1.ActivatePepperResponse(pepper=convert.pepper(pepper, uses))

    async def RetirePepper(
        self, request: v1.RetirePepperRequest, actor: Actor
    ) -> v1.RetirePepperResponse:
        pepper = await self._peppers.retire(actor, request.version)
        return v1.RetirePepperResponse(pepper=convert.pepper(pepper))
