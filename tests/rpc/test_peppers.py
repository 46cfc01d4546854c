"""Pepper versions: add, activate, and retire when nothing needs the old one any more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from keyauthority.base.process.files import write_private
from keyauthority.config import Settings
from keyauthority.domain.callers import Role
from keyauthority.domain.ports import Clock, Keyring, Store
from keyauthority.keyring import FileKeyring
from keyauthority.server import serving
from keyauthority.storage.bootstrap import books_and_keyring
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.caller_service_pb2 import ListCallersRequest, RevokeCallerRequest
from keyauthority.v1.key_service_pb2 import LookupKeyRequest, RevokeKeyRequest, RotateKeyRequest
from keyauthority.v1.operations_service_pb2 import (
    ActivatePepperRequest,
    AddPepperRequest,
    ListPeppersRequest,
    Pepper,
    PepperState,
    RetirePepperRequest,
)
from tests.rpc.parts import Api, Authority, issue, reason, refusal, verdict


async def states(api: Api) -> list[tuple[str, int]]:
    """Each version's state and how many secrets need it, oldest first."""
    peppers: list[Pepper] = list((await api(ListPeppersRequest())).peppers)
    assert [pepper.version for pepper in peppers] == list(range(1, len(peppers) + 1))
    prefix = len("PEPPER_STATE_")
    return [(PepperState.Name(pepper.state)[prefix:], pepper.secrets) for pepper in peppers]


async def rotate_pepper(api: Api) -> None:
    added = await api(AddPepperRequest())
    await api(ActivatePepperRequest(version=added.pepper.version))


async def test_a_fresh_installation_has_one(root: Api, workspace: str) -> None:
    """Its only version is active, and counts the tokens and secrets it protects."""
    assert await states(root) == [("ACTIVE", 1)]
    await issue(root, workspace)
    assert await states(root) == [("ACTIVE", 2)]


async def test_an_added_version_waits(authority: Authority, workspace: str) -> None:
    """It is in the keyring file, and nothing uses it before it is activated."""
    root = authority.root
    added = (await root(AddPepperRequest())).pepper
    assert (added.version, added.state) == (2, PepperState.PEPPER_STATE_ADDED)
    assert set(json.loads(authority.settings.keyring.read_text())["peppers"]) == {"1", "2"}
    assert authority.settings.keyring.stat().st_mode & 0o777 == 0o600
    assert (await issue(root, workspace)).key.secrets[0].pepper_version == 1


async def test_one_version_is_added_at_a_time(root: Api) -> None:
    """A second addition says which one to activate first."""
    await root(AddPepperRequest())
    refused = await refusal(root(AddPepperRequest()))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (refused.reason, refused.metadata) == ("PEPPER_PENDING", {"version": "2"})
    assert len(await states(root)) == 2


async def test_new_secrets_use_the_active_version(root: Api, workspace: str) -> None:
    """Old secrets go on working; a rotation moves a key to the new version."""
    old = await issue(root, workspace)
    await rotate_pepper(root)
    new = await issue(root, workspace)
    assert new.key.secrets[0].pepper_version == 2
    assert await states(root) == [("SUPERSEDED", 2), ("ACTIVE", 1)]
    assert [await verdict(root, one.secret) for one in (old, new)] == ["VALID"] * 2
    rotated = await root(RotateKeyRequest(key_id=old.key.id))
    assert [secret.pepper_version for secret in rotated.key.secrets] == [2, 1]
    assert await verdict(root, rotated.secret) == "VALID"
    assert await verdict(root, old.secret) == "REVOKED"
    assert await states(root) == [("SUPERSEDED", 1), ("ACTIVE", 2)]


async def test_activation_can_be_repeated_and_taken_back(root: Api) -> None:
    """Activating the active version is no change; a superseded one can be active again."""
    await rotate_pepper(root)
    again = await root(ActivatePepperRequest(version=2))
    assert again.pepper.state == PepperState.PEPPER_STATE_ACTIVE
    back = await root(ActivatePepperRequest(version=1))
    assert back.pepper.secrets == 1
    assert await states(root) == [("ACTIVE", 1), ("SUPERSEDED", 0)]


async def test_a_version_in_use_is_not_retired(root: Api, workspace: str) -> None:
    """The refusal says how many secrets still need it."""
    await issue(root, workspace)
    await rotate_pepper(root)
    refused = await refusal(root(RetirePepperRequest(version=1)))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "PEPPER_IN_USE"
    assert refused.metadata == {"version": "1", "secrets": "2"}


async def test_the_active_version_is_not_retired(root: Api) -> None:
    """There must always be one."""
    assert await reason(root(RetirePepperRequest(version=1))) == "PEPPER_ACTIVE"


async def test_an_unknown_version_is_not_found(root: Api) -> None:
    """Neither activated nor retired."""
    for request in (ActivatePepperRequest(version=7), RetirePepperRequest(version=-1)):
        assert await reason(root(request)) == "PEPPER_NOT_FOUND"


async def without_users_of_the_first(authority: Authority) -> Api:
    """Activates version 2 and revokes all that needs version 1; returns the remaining admin."""
    [first_root] = (await authority.root(ListCallersRequest())).callers
    await rotate_pepper(authority.root)
    admin = await authority.caller(*Role)
    await admin(RevokeCallerRequest(caller_id=first_root.id))
    return admin


async def test_a_version_that_nothing_needs_is_retired(
    authority: Authority, workspace: str
) -> None:
    """For good: it can't be activated again, and a repeat changes nothing."""
    issued = await issue(authority.root, workspace)
    await authority.root(RevokeKeyRequest(key_id=issued.key.id))
    admin = await without_users_of_the_first(authority)
    retired = await admin(RetirePepperRequest(version=1))
    assert retired.pepper.state == PepperState.PEPPER_STATE_RETIRED
    assert await admin(RetirePepperRequest(version=1)) == retired
    assert await reason(admin(ActivatePepperRequest(version=1))) == "PEPPER_RETIRED"
    assert await states(admin) == [("RETIRED", 0), ("ACTIVE", 1)]
    listed = await admin(ListAuditEntriesRequest(subject="pepper_1"))
    assert [entry.action for entry in listed.entries] == ["OperationsService.RetirePepper"]
    # What was stored with it went with it: the record is there, its secret is forgotten.
    assert await verdict(admin, issued.secret) == "UNKNOWN"
    assert await reason(admin(LookupKeyRequest(secret=issued.secret))) == "KEY_NOT_FOUND"


async def test_a_revoked_callers_token_stays_refused_after_the_retirement(
    authority: Authority,
) -> None:
    """Its digest is gone; the answer is the same as before."""
    admin = await without_users_of_the_first(authority)
    await admin(RetirePepperRequest(version=1))
    assert await reason(authority.root(ListPeppersRequest())) == "CREDENTIAL_INVALID"


async def test_a_keyring_that_cannot_be_written_gets_no_version(authority: Authority) -> None:
    """The books don't know a version that the file lacks."""
    # Nothing is written where others may write, whoever runs the authority.
    authority.settings.keyring.parent.chmod(0o777)
    refused = await refusal(authority.root(AddPepperRequest()))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "KEYRING_UNWRITABLE"
    assert await states(authority.root) == [("ACTIVE", 1)]


async def test_a_keyring_without_the_pepper_is_an_outage(
    authority: Authority, workspace: str, running: AsyncExitStack, tmp_path: Path
) -> None:
    """UNAVAILABLE, never UNKNOWN: nothing is said about a secret that can't be judged."""
    verifier = await authority.caller(Role.VERIFIER)
    older = tmp_path / "older.json"
    write_private(older, authority.settings.keyring.read_text())
    await rotate_pepper(authority.root)
    issued = await issue(authority.root, workspace)
    await running.aclose()

    @asynccontextmanager
    async def with_older_keyring(
        settings: Settings, clock: Clock | None
    ) -> AsyncIterator[tuple[Store, Keyring]]:
        async with books_and_keyring(settings, clock) as (store, _):
            yield store, FileKeyring.load(older)

    served = serving(authority.settings, open_books=with_older_keyring)
    port = await running.enter_async_context(served)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        refused = await refusal(verdict(Api(channel, verifier.token), issued.secret))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert (refused.reason, refused.metadata) == ("KEYRING_MISMATCH", {"version": "2"})


async def test_versions_survive_a_restart(
    authority: Authority, workspace: str, running: Any, clock: Any
) -> None:
    """What was stored with either version verifies after the next start."""
    old = await issue(authority.root, workspace)
    await rotate_pepper(authority.root)
    new = await issue(authority.root, workspace)
    await running.aclose()
    port = await running.enter_async_context(serving(authority.settings, clock))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        root = Api(channel, authority.root.token)
        assert [await verdict(root, one.secret) for one in (old, new)] == ["VALID"] * 2
        assert await states(root) == [("SUPERSEDED", 2), ("ACTIVE", 1)]
