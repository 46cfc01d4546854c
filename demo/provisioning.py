"""The demo's records: credentials for gateway and console, a workspace, a key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from demo.credits import endow
from demo.settings import DemoError
from keyauthority.base.process.files import write_private
from keyauthority.client import Secret, Verdict, connect_blocking, load_token
from keyauthority.client.admin import (
    AuthorityError,
    BlockingAdminClient,
    CredentialError,
    KeySettings,
    Reason,
    Role,
    callers,
    keys,
    prices,
    verification,
    workspaces,
)

WORKSPACE: Final = "demo"


@dataclass(frozen=True, slots=True)
class DemoKey:
    """A key that works. `replaces` says that an earlier one no longer works."""

    id: str
    workspace_id: str
    file: Path
    replaces: bool


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The files with the credentials of gateway and console, and the demo key."""

    gateway_token: Path
    console_token: Path
    key: DemoKey


def provision(address: str, data_dir: Path) -> Provisioned:
    """Creates what is missing; returns it and what there was. Raises `DemoError`."""
    try:
        with connect_blocking(address) as channel:
            client = _root(channel, data_dir)
            key = _key(client, data_dir / "demo.key")
            endow(client, key.workspace_id)
            return Provisioned(
                token_of(client, data_dir / "gateway.token", [Role.VERIFIER]),
                token_of(
                    client,
                    data_dir / "console.token",
                    [Role.ISSUER, Role.ADMIN, Role.BILLER],
                    acts_for_people=True,
                ),
                key,
            )
    except AuthorityError as error:
        raise DemoError(f"the authority refused the demo's set-up: {error.message}") from None


def _root(channel: grpc.Channel, data_dir: Path) -> BlockingAdminClient:
    # The root of a folder from before credits lacks the role biller, and so does its console. A
    # caller's roles never change, but a root may create another.
    file = data_dir / "root.token"
    client = BlockingAdminClient(channel, load_token(file))
    try:
        client.call(prices.page(size=1))
    except CredentialError as error:
        if error.reason is not Reason.ROLE_MISSING:
            raise
        name = f"demo root {secrets.token_hex(4)}"
        created = client.call(callers.create(name, list(Role)))
        write_private(file, created.token.reveal() + "\n")
        (data_dir / "console.token").unlink(missing_ok=True)
        return BlockingAdminClient(channel, created.token)
    return client


def token_of(
    client: BlockingAdminClient, path: Path, roles: list[Role], *, acts_for_people: bool = False
) -> Path:
    """Returns *path*, to which the token of a new caller is written unless it is there."""
    if not path.exists():
        name = f"demo {path.stem} {secrets.token_hex(4)}"
        created = client.call(callers.create(name, roles, acts_for_people=acts_for_people))
        write_private(path, created.token.reveal() + "\n")
    return path


def _key(client: BlockingAdminClient, path: Path) -> DemoKey:
    had_key = path.exists()
    if had_key:
        verified = client.call(verification.verify(Secret(path.read_text().strip())))
        if verified.verdict is Verdict.VALID:
            return DemoKey(verified.key_id, verified.workspace_id, path, replaces=False)
    issued = client.call(keys.issue(_workspace(client), KeySettings("demo")))
    write_private(path, issued.secret.reveal() + "\n")
    return DemoKey(issued.key.id, issued.key.workspace_id, path, replaces=had_key)


def _workspace(client: BlockingAdminClient) -> str:
    for workspace in client.call(workspaces.page(size=1_000)).records:
        if workspace.name == WORKSPACE and not workspace.suspended:
            return workspace.id
    return client.call(workspaces.create(WORKSPACE)).id
