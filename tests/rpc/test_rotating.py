"""Giving a key a new secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keyauthority.v1.key_service_pb2 import (
    IssueKeyResponse,
    RevokeKeyRequest,
    RotateKeyRequest,
    RotateKeyResponse,
)
from keyauthority.v1.wire import timestamp
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, issue, reason, verdict


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


async def rotate(api: Api, key_id: str, overlap: Any = None) -> RotateKeyResponse:
    response: RotateKeyResponse = await api(RotateKeyRequest(key_id=key_id, overlap=overlap))
    return response


async def test_without_overlap_the_old_secret_ends_at_once(
    root: Api, issued: IssueKeyResponse
) -> None:
    """When the call returns, only the new secret acts."""
    rotated = await rotate(root, issued.key.id)
    assert await verdict(root, issued.secret) == "REVOKED"
    assert await verdict(root, rotated.secret) == "VALID"
    assert rotated.receipt.revision == 1


async def test_both_secrets_act_during_the_overlap(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """The old secret acts to the last microsecond of the overlap, and no longer."""
    rotated = await rotate(root, issued.key.id, {"seconds": 60})
    clock.time = START + timedelta(seconds=60, microseconds=-1)
    assert [await verdict(root, s) for s in (issued.secret, rotated.secret)] == ["VALID"] * 2
    clock.time = START + timedelta(seconds=60)
    assert await verdict(root, issued.secret) == "REVOKED"
    assert await verdict(root, rotated.secret) == "VALID"


async def test_a_further_rotation_ends_the_oldest(root: Api, issued: IssueKeyResponse) -> None:
    """At most two secrets live at a time, whatever their overlaps."""
    overlap = {"seconds": 3600}
    second = await rotate(root, issued.key.id, overlap)
    third = await rotate(root, issued.key.id, overlap)
    assert await verdict(root, issued.secret) == "REVOKED"
    assert await verdict(root, second.secret) == "VALID"
    assert await verdict(root, third.secret) == "VALID"


async def test_a_shorter_overlap_cannot_be_made_longer(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """An end that was set stays: a later rotation concerns the secret it takes over from."""
    await rotate(root, issued.key.id, {"seconds": 10})
    await rotate(root, issued.key.id, {"seconds": 86_400})
    clock.time += timedelta(seconds=10)
    assert await verdict(root, issued.secret) == "REVOKED"


async def test_the_key_stays_the_same(root: Api, issued: IssueKeyResponse) -> None:
    """A rotation changes the secrets of a key and nothing else but its etag and update time."""
    rotated = await rotate(root, issued.key.id, {"seconds": 60})
    key = rotated.key
    assert (key.id, key.name, key.workspace_id) == (
        issued.key.id,
        issued.key.name,
        issued.key.workspace_id,
    )
    assert key.create_time == issued.key.create_time
    assert key.etag != issued.key.etag


async def test_secrets_are_listed_by_hints_newest_first(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """A person recognises each secret, and nobody can use what is shown."""
    clock.time += timedelta(seconds=5)
    rotated = await rotate(root, issued.key.id, {"seconds": 60})
    new, old = rotated.key.secrets
    assert new.hint == f"{rotated.secret[:12]}…{rotated.secret[-4:]}"
    assert old.hint == issued.key.secrets[0].hint
    assert new.create_time == timestamp(clock.time)
    assert not new.HasField("end_time")
    assert old.end_time == timestamp(clock.time + timedelta(seconds=60))


async def test_a_key_remembers_its_latest_hundred_secrets(
    root: Api, issued: IssueKeyResponse
) -> None:
    """A record doesn't grow for ever: the oldest retired secret is forgotten in the end."""
    for _ in range(99):
        rotated = await rotate(root, issued.key.id)
    assert len(rotated.key.secrets) == 100
    assert await verdict(root, issued.secret) == "REVOKED"
    rotated = await rotate(root, issued.key.id)
    assert len(rotated.key.secrets) == 100
    assert await verdict(root, issued.secret, fresh=True) == "UNKNOWN"
    assert await verdict(root, rotated.secret) == "VALID"


async def test_a_revoked_key_gets_no_new_secret(root: Api, issued: IssueKeyResponse) -> None:
    """Nothing brings a revoked key back."""
    await root(RevokeKeyRequest(key_id=issued.key.id))
    assert await reason(rotate(root, issued.key.id)) == "KEY_REVOKED"


async def test_an_unknown_key_is_not_found(root: Api) -> None:
    """There is nothing to rotate."""
    assert await reason(rotate(root, "key_nowhere")) == "KEY_NOT_FOUND"
