"""Who is calling, and may they? Authentication and authorization, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keyauthority.domain.answering import Credentials, KnownCaller
from keyauthority.domain.callers import Actor, Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc import call, person
from keyauthority.rpc.admission import Mutations
from keyauthority.rpc.brake import Brake
from keyauthority.rpc.call import Context, Metadata
from keyauthority.rpc.refusals import Refusals
from keyauthority.rpc.service import Access, Method
from keyauthority.v1.wire import AUTHORIZATION

_STRANGERS = (Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID)


class Entrance:
    """Lets callers in to the methods that their roles are for."""

    def __init__(self, credentials: Credentials, refusals: Refusals, mutations: Mutations) -> None:
        self._credentials = credentials
        self._refusals = refusals
        self._mutations = mutations
        self._brake = Brake()
        self.holds = credentials.holds
        """Whether a caller that was recognised still would be."""

    def recognised(self, rules: Method, metadata: Metadata) -> KnownCaller | None:
        """The caller, if it is known from memory and may call the method: nothing is awaited.

        If not, `enter` finds out.
        """
        presented: Any = None
        for key, value in metadata:
            if key == AUTHORIZATION:
                if presented is not None:
                    return None
                presented = value
        if presented is None or not presented.startswith("Bearer "):
            return None
        known = self._credentials.known(presented[7:])
        if known is not None:
            access = rules.access
            # Not `in`: the hash of an enum's member takes longer than the search.
            for role in known.caller.roles:
                if role is access:
                    return known
        return None

    async def enter(self, rules: Method, context: Context, request_id: str) -> Actor | None:
        """Who acts in the call *request_id*, if it may call the method; None if anybody may.

        Raises `KeyAuthorityError`: `CREDENTIAL_MISSING`, `CREDENTIAL_INVALID`, `ROLE_MISSING`,
        `OVERLOADED` if it is one of too many strangers, and if it names a person, `ACTING_NOT_ALLOWED`, `FIELD_INVALID`.
        """
        if rules.access is Access.OPEN:
            return None
        try:
            caller = await self._authenticate(context)
        except KeyAuthorityError as error:
            if error.reason in _STRANGERS:
                self._refusals.of_unknown(rules.label, call.source(context))
                await self._brake.wait(context.peer())
            raise
        actor = Actor(caller, rules.label, call.source(context), request_id)
        if rules.for_people and (named := person.sent(context)):
            actor = await self._acting(actor, named)
        if rules.access not in (*caller.roles, Access.AUTHENTICATED):
            await self._refuse(actor)
            raise _role_missing(rules)
        return actor

    async def _acting(self, actor: Actor, named: Sequence[bytes]) -> Actor:
        # The same call, for whom its caller says. Of a caller that may not say so, nothing is kept.
        if not actor.caller.acts_for_people:
            await self._refuse(actor)
            raise KeyAuthorityError(Reason.ACTING_NOT_ALLOWED, "the caller may not act for people")
        return replace(actor, person=person.read(named))

    async def _refuse(self, actor: Actor) -> None:
        await self._mutations.run(self._refusals.of_caller(actor))

    async def _authenticate(self, context: Context) -> Caller:
        presented = [value for key, value in call.metadata(context) if key == AUTHORIZATION]
        if presented:
            token = _token(presented[0])
            if len(presented) > 1 or not token:
                raise KeyAuthorityError(
                    Reason.CREDENTIAL_INVALID, "authorization must be one Bearer token"
                )
            known = self._credentials.known(token)
            if known is not None:
                return known.caller
            return await self._credentials.by_token(token, context.peer())
        names = context.auth_context().get("x509_subject_alternative_name", ())
        if names:
            return await self._credentials.by_certificate(
                [name.decode() for name in names], context.peer()
            )
        raise KeyAuthorityError(
            Reason.CREDENTIAL_MISSING, "send a service token as `authorization: Bearer` metadata"
        )


def _token(authorization: str | bytes) -> str:
    # Empty if it is not of the scheme Bearer (RFC 6750), whose name is case-insensitive.
    scheme, _, token = str(authorization).partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _role_missing(rules: Method) -> KeyAuthorityError:
    role = rules.access.name.lower()
    return KeyAuthorityError(
        Reason.ROLE_MISSING,
        f"the caller lacks the role {role}",
        role=role,
        service=rules.service,
    )
