"""Changing a key, and what its mask and its etag mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.v1.key_pb2 import KEY_STATE_DISABLED, KEY_STATE_EXPIRED, Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyResponse,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.wire import timestamp
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, invalid_field, issue, reason, refusal, verdict


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(
        root, workspace, "before", scopes=["a", "b"], labels={"a": "1"}, ttl={"seconds": 3600}
    )


async def update(api: Api, key_id: str, *mask: str, **fields: Any) -> Any:
    request = UpdateKeyRequest(key=Key(id=key_id, **fields), update_mask=FieldMask(paths=mask))
    return await api(request)


async def test_a_mask_names_what_changes(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """What the mask leaves out stays, whatever the request says of it."""
    clock.time += timedelta(seconds=5)
    updated = await update(root, issued.key.id, "name", name="after", scopes=["c"], disabled=True)
    expected = Key()
    expected.CopyFrom(issued.key)
    expected.name = "after"
    expected.update_time.CopyFrom(timestamp(clock.time))  # type: ignore[arg-type]
    expected.etag = updated.key.etag
    assert updated.key == expected
    assert updated.key.etag != issued.key.etag
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == updated.key


async def test_without_a_mask_what_is_set_changes(root: Api, issued: IssueKeyResponse) -> None:
    """A request without a mask can set fields, not clear them (AIP-134)."""
    updated = (await update(root, issued.key.id, name="after", labels={"b": "2"})).key
    assert (updated.name, dict(updated.labels)) == ("after", {"b": "2"})
    assert (list(updated.scopes), updated.expire_time) == (["a", "b"], issued.key.expire_time)


async def test_a_star_replaces_everything(root: Api, issued: IssueKeyResponse) -> None:
    """With `*` the request is the whole key: what it leaves out is cleared."""
    updated = (await update(root, issued.key.id, "*", name="after", disabled=True)).key
    assert (updated.name, updated.disabled) == ("after", True)
    assert not updated.scopes
    assert not updated.labels
    assert not updated.HasField("expire_time")


@pytest.mark.parametrize("path", ["etag", "id", "workspace_id", "secrets", "state", "nme", ""])
async def test_a_mask_can_only_name_what_may_change(
    root: Api, issued: IssueKeyResponse, path: str
) -> None:
    """A field that is the authority's own, or misspelt, is refused and nothing changes."""
    with invalid_field("update_mask"):
        await update(root, issued.key.id, "name", path, name="after")
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == issued.key


async def test_a_star_stands_alone(root: Api, issued: IssueKeyResponse) -> None:
    """Everything and one field is a contradiction."""
    with invalid_field("update_mask"):
        await update(root, issued.key.id, "*", "name", name="after")


async def test_a_mask_clears_an_expiry(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """A key that was to end lives for ever once its expiry is cleared."""
    updated = await update(root, issued.key.id, "expire_time")
    assert not updated.key.HasField("expire_time")
    clock.time += timedelta(days=3_000)
    assert await verdict(root, issued.secret) == "VALID"


async def test_a_later_expiry_revives_a_key(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """Expiry is not final: a later one makes the key act again."""
    clock.time += timedelta(hours=1)
    assert await verdict(root, issued.secret) == "EXPIRED"
    later = timestamp(START + timedelta(hours=2))
    await update(root, issued.key.id, "expire_time", expire_time=later)
    assert await verdict(root, issued.secret) == "VALID"


async def test_an_expired_key_can_be_renamed(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """Writing a whole record back keeps its expiry even though that is past."""
    clock.time += timedelta(hours=2)
    key = Key()
    key.CopyFrom(issued.key)
    key.name = "after"
    updated = await root(UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["*"])))
    assert (updated.key.name, updated.key.state) == ("after", KEY_STATE_EXPIRED)


async def test_a_disabled_key_is_refused_until_it_is_enabled(
    root: Api, issued: IssueKeyResponse
) -> None:
    """The switch works both ways, with the answer to the call."""
    disabled = await update(root, issued.key.id, disabled=True)
    assert disabled.key.state == KEY_STATE_DISABLED
    assert await verdict(root, issued.secret) == "DISABLED"
    await update(root, issued.key.id, "disabled", disabled=False)
    assert await verdict(root, issued.secret) == "VALID"


async def test_a_change_builds_on_what_was_read(root: Api, issued: IssueKeyResponse) -> None:
    """Of two people who read the same record, the second is told that it changed."""
    etag = issued.key.etag
    first = await update(root, issued.key.id, name="first", etag=etag)
    refused = await refusal(update(root, issued.key.id, name="second", etag=etag))
    assert refused.code is grpc.StatusCode.ABORTED
    assert (refused.reason, refused.metadata) == ("ETAG_MISMATCH", {"etag": first.key.etag})
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key.name == "first"
    await update(root, issued.key.id, name="second", etag=first.key.etag)


async def test_changing_nothing_is_no_change(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """The same values again leave the record, its etag and the revision alone."""
    before = await update(root, issued.key.id, name="same")
    clock.time += timedelta(seconds=1)
    again = await update(root, issued.key.id, name="same")
    assert again.key == before.key
    assert again.receipt.revision == before.receipt.revision


async def test_each_change_has_the_next_revision(root: Api, issued: IssueKeyResponse) -> None:
    """Changes are numbered without gaps; the receipt tells the number."""
    one = await update(root, issued.key.id, name="one")
    two = await update(root, issued.key.id, name="two")
    assert two.receipt.revision == one.receipt.revision + 1


async def test_a_revoked_key_never_changes(root: Api, issued: IssueKeyResponse) -> None:
    """Revocation is final, for the record too."""
    revoked = await root(RevokeKeyRequest(key_id=issued.key.id))
    refused = await refusal(update(root, issued.key.id, name="after"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (refused.reason, refused.metadata) == ("KEY_REVOKED", {"key_id": issued.key.id})
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == revoked.key


async def test_an_unknown_key_is_not_found(root: Api) -> None:
    """There is nothing to change."""
    assert await reason(update(root, "key_nowhere", name="after")) == "KEY_NOT_FOUND"
    assert await reason(root(UpdateKeyRequest())) == "KEY_NOT_FOUND"
