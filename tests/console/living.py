"""A console as a process of its own, beside a real authority and gateway, and people in it."""

from __future__ import annotations

import secrets
from pathlib import Path

from console import security
from console.paths import url
from keyauthority.base.process.files import write_private
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge
from tests.e2e.processes import Process
from tests.ports import free_port

PASSWORD = "four words are enough"
OWNER = "owner@example.com"


class Console:
    """A running console over books of its own, and its first owner."""

    def __init__(self, edge: Edge, folder: Path, *flags: str) -> None:
        self.edge, self.folder, self._flags = edge, folder, flags
        folder.mkdir(exist_ok=True)
        self.token_file = folder / "console.token"
        caller = f"console {secrets.token_hex(6)}"
        write_private(self.token_file, edge.operator.console_token(caller) + "\n")
        self.database = folder / "console.db"
        self._link_file = folder / "console.link"
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Starts it, where it was before."""
        usual = ["--listen", f"127.0.0.1:{self.port}", "--authority", self.edge.address]
        usual += ["--token-file", str(self.token_file), "--database", str(self.database)]
        usual += ["--setup-link-file", str(self._link_file), "--api-url", self.edge.url]
        usual += ["--grace", "1"]
        self.process = Process(self.folder / "logs", "console", *usual, *self._flags)
        # What the flags of a test say of it wins.
        self.port = self.process.port()
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        return self.process.stop()

    def visitor(self) -> Visitor:
        """A fresh browser."""
        return Visitor(self.port)

    @property
    def setup_path(self) -> str:
        """The first owner's one-time link, without the host."""
        return self._link_file.read_text().strip().removeprefix(self.url)

    def first_owner(self) -> Visitor:
        """Takes up the first owner's link."""
        owner = self.visitor()
        page = owner.get(self.setup_path)
        done = owner.submit(
            page, self.setup_path, email=OWNER, name="Olga Owner", password=PASSWORD
        )
        assert done.status == 303, done.text
        owner.follow(done)
        return owner

    def sign_in(self, email: str, password: str = PASSWORD) -> Visitor:
        """A browser in which somebody is signed in."""
        visitor = self.visitor()
        done = visitor.submit(visitor.get("/sign-in"), "/sign-in", email=email, password=password)
        assert done.status == 303, done.text
        assert security.SESSION in visitor.cookies
        return visitor

    def invite(self, owner: Visitor, workspace: str, email: str, role: str) -> str:
        """The path of a new invitation's link."""
        place = url("members", workspace=workspace)
        action = url("invitations", workspace=workspace)
        shown = owner.submit(owner.get(place), action, email=email, role=role)
        assert shown.status == 200, shown.text
        return invitation_path(shown, self.url)

    def newcomer(self, owner: Visitor, workspace: str, email: str, role: str) -> Visitor:
        """A browser in which somebody is signed in who was just invited."""
        path = self.invite(owner, workspace, email, role)
        visitor = self.visitor()
        name = email.partition("@")[0].title()
        done = visitor.submit(visitor.get(path), path, name=name, password=PASSWORD)
        assert done.status == 303, done.text
        return visitor

    def new_workspace(self, administrator: Visitor, name: str) -> str:
        """The id of a new workspace whose owner the administrator is."""
        page = administrator.get("/administration")
        done = administrator.submit(page, "/administration/workspaces", name=name)
        assert done.status == 303, done.text
        return done.location.split("/")[2]


def invitation_path(shown: Shown, base: str) -> str:
    """The path of the one link that *shown* shows."""
    begin = shown.html.index(base + "/invitations/") + len(base)
    return shown.html[begin : shown.html.index("<", begin)].partition('"')[0]
