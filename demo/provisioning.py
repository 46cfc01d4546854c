"""What the demo needs in the books: credentials for gateway and console, a workspace, a key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.settings import DemoError
from keyauthority.base.process.files import write_private
from keyauthority.client import Secret, Verdict, connect_blocking, load_token
from keyauthority.client.admin import (
    AuthorityError,
    BlockingAdminClient,
    KeySettings,
    Role,
    callers,
    keys,
    verification,
    workspaces,
)

WORKSPACE: Final = "demo"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The files with the credentials of gateway and console, and the demo key."""

    gateway_token: Path
    console_token: Path
    key: DemoKey


@dataclass(frozen=True, slots=True)
class DemoKey:
    """A key that works. `fresh` says that it is new, though there had been another."""

    id: str
    file: Path
    fresh: bool


class Provisioning:
    """Makes what is missing; what is there already is used again."""

    def __init__(self, client: BlockingAdminClient, data_dir: Path) -> None:
        self._client = client
        self._data_dir = data_dir

    def gateway_token(self) -> Path:
        """The file with the gateway's credential."""
        return self._token("gateway", [Role.VERIFIER])

    def console_token(self) -> Path:
        """The file with the console's credential."""
        return self._token("console", [Role.ISSUER, Role.ADMIN], acts_for_people=True)

    def key(self) -> DemoKey:
        """A key that works: the one of the last run if it does, else a new one."""
        path = self._data_dir / "demo.key"
        had_one = path.exists()
        if had_one and (key_id := self._works(path.read_text().strip())):
            return DemoKey(key_id, path, fresh=False)
        issued = self._client.call(keys.issue(self._workspace(), KeySettings("demo")))
        write_private(path, issued.secret.reveal() + "\n")
        return DemoKey(issued.key.id, path, fresh=had_one)

    def _token(self, name: str, roles: list[Role], *, acts_for_people: bool = False) -> Path:
        path = self._data_dir / f"{name}.token"
        if not path.exists():
            caller_name = f"demo {name} {secrets.token_hex(4)}"
            created = self._client.call(
                callers.create(caller_name, roles, acts_for_people=acts_for_people)
            )
            write_private(path, created.token.reveal() + "\n")
        return path

    def _works(self, secret: str) -> str:
        verified = self._client.call(verification.verify(Secret(secret)))
        return verified.key_id if verified.verdict is Verdict.VALID else ""

    def _workspace(self) -> str:
        for workspace in self._client.call(workspaces.page(size=1_000)).records:
            if workspace.name == WORKSPACE and not workspace.suspended:
                return workspace.id
        return self._client.call(workspaces.create(WORKSPACE)).id


def provision(address: str, data_dir: Path) -> Provisioned:
    """What the demo needs, made where it is missing; raises `DemoError`."""
    token = load_token(data_dir / "root.token")
    try:
        with connect_blocking(address) as channel:
            provisioning = Provisioning(BlockingAdminClient(channel, token), data_dir)
            return Provisioned(
                provisioning.gateway_token(), provisioning.console_token(), provisioning.key()
            )
    except AuthorityError as error:
        raise DemoError(f"the authority refused the demo's set-up: {error.message}") from None
