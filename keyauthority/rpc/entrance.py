"""Authentication and authorization of calls, before anything of their messages is decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyauthority.domain.callers import Actor, Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.replica.cached import CachedCaller
from keyauthority.replica.credentials import CachedAuthenticating
from keyauthority.rpc import call
from keyauthority.rpc.call import Context, Metadata
from keyauthority.rpc.mutations import Mutations
from keyauthority.rpc.refusals import Brake, Refusals
from keyauthority.rpc.service import Access, Method
from keyauthority.v1.wire import AUTHORIZATION

_STRANGERS = (Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID)


class Entrance:
    """Admits callers to the methods that their roles are for."""

    def __init__(
        self, credentials: CachedAuthenticating, refusals: Refusals, mutations: Mutations
    ) -> None:
        self._credentials = credentials
        self._refusals = refusals
        self._mutations = mutations
        self._brake = Brake()
        self.holds = credentials.holds
        """Tells whether a recognised caller still would be, at a time by the clock `now`."""
        self.now = credentials.now

    def recognised(self, rules: Method, metadata: Metadata) -> CachedCaller | None:
        """Returns the caller, if it is in memory and may call the method; else `enter` decides."""
        presented: Any = None
        for key, value in metadata:
            if key == AUTHORIZATION:
                if presented is not None:
                    return None
                presented = value
        if presented is None or not presented.startswith("Bearer "):
            return None
        cached = self._credentials.cached(presented[7:])
        if cached is not None:
            access = rules.access
            # Not `in`: the hash of an enum's member takes longer than the search.
            for role in cached.caller.roles:
                if role is access:
                    return cached
        return None

    async def enter(self, rules: Method, context: Context, request_id: str) -> Actor | None:
        """Returns who acts in the call *request_id*; None if anybody may call the method.

        Raises `KeyAuthorityError`: `CREDENTIAL_MISSING`, `CREDENTIAL_INVALID`, `ROLE_MISSING`,
        `OVERLOADED` for one of too many strangers, and where the call names a person,
        `ACTING_NOT_ALLOWED`, `FIELD_INVALID`.
        """
        if rules.access is Access.OPEN:
            return None
        try:
            caller = await self._authenticate(context)
        except KeyAuthorityError as error:
            if error.reason in _STRANGERS:
                self._refusals.of_stranger(rules.label, call.source(context))
                await self._brake.wait(context.peer())
            raise
        actor = Actor(caller, rules.label, call.source(context), request_id)
        if rules.for_people and (headers := call.person_headers(context)):
            # The audit never names a person by the word of a caller without that right.
            if not caller.acts_for_people:
                await self._refuse(actor)
                raise KeyAuthorityError(
                    Reason.ACTING_NOT_ALLOWED, "the caller may not act for people"
                )
            actor = replace(actor, person=call.parse_person(headers))
        if rules.access not in (*caller.roles, Access.AUTHENTICATED):
            await self._refuse(actor)
            role = rules.access.name.lower()
            raise KeyAuthorityError(
                Reason.ROLE_MISSING,
                f"the caller lacks the role {role}",
                role=role,
                service=rules.service,
            )
        return actor

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
            cached = self._credentials.cached(token)
            if cached is not None:
                return cached.caller
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
    # Empty for any other scheme than Bearer (RFC 6750), whose name is case-insensitive.
    scheme, _, token = str(authorization).partition(" ")
    return token if scheme.lower() == "bearer" else ""
