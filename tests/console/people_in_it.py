"""People for tests, written into the console's books beside it: no password has to be hashed."""

from __future__ import annotations

import secrets

from console import security
from console.people import Identity, Origin, People, Person, Role
from tests.console.living import Console
from tests.console.visiting import Visitor

NOBODY = Origin("", "", "")


class Cast:
    """Somebody of each kind, in *workspace* and elsewhere."""

    def __init__(self, console: Console, books: People, workspace: str) -> None:
        self.console, self.books, self.workspace = console, books, workspace

    async def person(self, role: Role | None = None, *, administrator: bool = False) -> Person:
        """A new person, with *role* in the workspace, or in none."""
        mark = secrets.token_hex(6)
        workspace = self.workspace if role is not None else "ws_0000000000000000"
        _, token = await self.books.links.invite(
            NOBODY, workspace, f"{mark}@example.com", role or Role.OWNER
        )
        person = await self.books.links.accept_invitation(
            token.reveal(), f"Person {mark}", Identity("https://issuer.example", mark), ""
        )
        if administrator:
            await self.books.accounts.set_administrator(NOBODY, person.id, True)
        return person

    async def signed_in(self, person: Person) -> Visitor:
        """A browser in which the person is signed in."""
        _, token = await self.books.sessions.begin(person.id, "127.0.0.1", "test", "oidc")
        visitor = self.console.visitor()
        visitor.cookies[security.SESSION] = token.reveal()
        return visitor

    async def visitor(self, role: Role | None = None, *, administrator: bool = False) -> Visitor:
        """A browser in which a new person is signed in."""
        return await self.signed_in(await self.person(role, administrator=administrator))
