"""OperationsService."""

from __future__ import annotations

from datetime import timedelta

from keyauthority.coherence.leases import wait_out
from keyauthority.domain.callers import Actor
from keyauthority.domain.leasing import list_sessions
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.sessions import Session
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import operations_service_pb2 as v1
from keyauthority.v1.wire import duration, timestamp


class OperationsServicer:
    """Serves those who run the authority."""

    def __init__(self, parts: Parts) -> None:
        self._peppers = ManagingPeppers(parts.books, parts.keyring)
        self._books = parts.books
        self._sessions = parts.store.sessions

    async def ListSessions(
        self, request: v1.ListSessionsRequest, actor: Actor
    ) -> v1.ListSessionsResponse:
        listed = await list_sessions(self._books, self._sessions)
        names, terms = listed.caller_names, listed.terms
        return v1.ListSessionsResponse(
            sessions=[
                _session(session, names.get(session.caller_id, ""), terms.lease)
                for session in listed.sessions
            ],
            epoch=listed.head.epoch,
            revision=listed.head.revision,
            lease=duration(terms.lease),
            longest_wait=duration(timedelta(seconds=wait_out(terms.longest_lease))),
        )

    async def ListPeppers(
        self, request: v1.ListPeppersRequest, actor: Actor
    ) -> v1.ListPeppersResponse:
        peppers = await self._peppers.all()
        return v1.ListPeppersResponse(peppers=[_pepper(pepper, uses) for pepper, uses in peppers])

    async def AddPepper(self, request: v1.AddPepperRequest, actor: Actor) -> v1.AddPepperResponse:
        return v1.AddPepperResponse(pepper=_pepper(await self._peppers.add(actor)))

    async def ActivatePepper(
        self, request: v1.ActivatePepperRequest, actor: Actor
    ) -> v1.ActivatePepperResponse:
        pepper, uses = await self._peppers.activate(actor, request.version)
        return v1.ActivatePepperResponse(pepper=_pepper(pepper, uses))

    async def RetirePepper(
        self, request: v1.RetirePepperRequest, actor: Actor
    ) -> v1.RetirePepperResponse:
        pepper = await self._peppers.retire(actor, request.version)
        return v1.RetirePepperResponse(pepper=_pepper(pepper))


def _session(record: Session, caller_name: str, lease: timedelta) -> v1.Session:
    return v1.Session(
        id=record.id,
        caller_id=record.caller_id,
        caller_name=caller_name,
        name=record.name,
        create_time=timestamp(record.create_time),
        sync_time=timestamp(record.sync_time),
        revision=record.acknowledged,
        lease=duration(record.allowance.granted(lease)),
        times_late=record.late,
    )


def _pepper(record: Pepper, uses: int = 0) -> v1.Pepper:
    return v1.Pepper(
        version=record.version,
        state=convert.number_of(record.state),
        secrets=uses,  # how many credentials in force need the pepper
        create_time=timestamp(record.create_time),
    )
