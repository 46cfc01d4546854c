"""Stopping keys for good, one or a thousand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from keyauthority.storage.opening import open_books
from keyauthority.v1.key_pb2 import (
    KEY_STATE_ACTIVE,
    KEY_STATE_REVOKED,
    REVOCATION_REASON_COMPROMISED,
    REVOCATION_REASON_POLICY,
)
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyResponse,
    ListKeysRequest,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
)
from keyauthority.v1.wire import timestamp
from tests.conformance.records import START, ManualClock, a_key, a_secret, a_workspace
from tests.rpc.parts import (
    Api,
    Authority,
    invalid_field,
    issue,
    refusal,
    settings_in,
    verdict,
)
from tests.transactions import changing


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


async def test_no_secret_of_a_revoked_key_acts(root: Api, issued: IssueKeyResponse) -> None:
    """When the call returns, the key is refused, by its old secret and its new one."""
    rotated = await root(RotateKeyRequest(key_id=issued.key.id, overlap=Duration(seconds=60)))
    await root(RevokeKeyRequest(key_id=issued.key.id))
    assert await verdict(root, issued.secret) == "REVOKED"
    assert await verdict(root, rotated.secret) == "REVOKED"


async def test_a_revocation_keeps_its_reason(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """The record says when and why, for whoever asks later."""
    clock.time += timedelta(seconds=3)
    revoked = await root(
        RevokeKeyRequest(
            key_id=issued.key.id, reason=REVOCATION_REASON_COMPROMISED, note="seen in\na log"
        )
    )
    assert revoked.key.state == KEY_STATE_REVOKED
    assert revoked.key.revoke_time == timestamp(START + timedelta(seconds=3))
    assert revoked.key.revocation_reason == REVOCATION_REASON_COMPROMISED
    assert revoked.key.revocation_note == "seen in\na log"
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == revoked.key


async def test_revoking_again_changes_nothing(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """The first reason stays; the repeat has the receipt of a change all the same."""
    first = await root(
        RevokeKeyRequest(key_id=issued.key.id, reason=REVOCATION_REASON_COMPROMISED, note="first")
    )
    clock.time += timedelta(seconds=1)
    again = await root(
        RevokeKeyRequest(key_id=issued.key.id, reason=REVOCATION_REASON_POLICY, note="second")
    )
    assert again.key == first.key
    assert first.receipt.revision == again.receipt.revision == 1


async def test_a_disabled_key_can_be_revoked(root: Api, workspace: str, clock: ManualClock) -> None:
    """Neither an expired nor a disabled key escapes for being refused already."""
    issued = await issue(root, workspace, ttl={"seconds": 1})
    clock.time += timedelta(seconds=1)
    await root(RevokeKeyRequest(key_id=issued.key.id))
    assert await verdict(root, issued.secret) == "REVOKED"


async def test_an_unknown_key_is_not_found(root: Api) -> None:
    """A typing error is told, not taken for a revocation."""
    refused = await refusal(root(RevokeKeyRequest(key_id="key_nowhere")))
    assert (refused.reason, refused.metadata) == ("KEY_NOT_FOUND", {"key_id": "key_nowhere"})


@pytest.fixture
async def thousand_keys(tmp_path: Path, clock: ManualClock) -> list[str]:
    """The ids of keys that were in the books before the authority started."""
    ids = [f"key_{number:016}" for number in range(1_000)]
    async with open_books(settings_in(tmp_path).database, clock) as store, changing(store) as tx:
        await tx.workspaces.insert(a_workspace())
        for key_id in ids:
            await tx.keys.insert(a_key(key_id, secrets=(a_secret(key_id.encode()),)))
    return ids


async def test_a_thousand_are_revoked_by_one_call(
    thousand_keys: list[str], authority: Authority
) -> None:
    """All of them, each with a revision of its own, behind one receipt."""
    request = RevokeKeysRequest(key_ids=thousand_keys, reason=REVOCATION_REASON_POLICY)
    revoked = await authority.root(request)
    assert [key.id for key in revoked.keys] == thousand_keys
    assert {key.state for key in revoked.keys} == {KEY_STATE_REVOKED}
    assert revoked.receipt.revision == 1_000
    listed = await authority.root(ListKeysRequest(page_size=1_000))
    assert sorted(key.id for key in listed.keys) == thousand_keys
    assert {key.revocation_reason for key in listed.keys} == {REVOCATION_REASON_POLICY}


class TestManyKeys:
    @pytest.fixture
    async def issued(self, root: Api, workspace: str) -> list[IssueKeyResponse]:
        return [await issue(root, workspace, str(number)) for number in range(4)]

    async def test_answers_come_in_the_order_of_the_request(
        self, root: Api, issued: list[IssueKeyResponse]
    ) -> None:
        """Who asks for b and a is answered with b and a."""
        ids = [issued[number].key.id for number in (2, 0, 3, 1)]
        assert [key.id for key in (await root(RevokeKeysRequest(key_ids=ids))).keys] == ids

    async def test_one_revoked_before_stays_as_it_is(
        self, root: Api, issued: list[IssueKeyResponse]
    ) -> None:
        """A repeat of a batch that was half known completes it, and counts only what is new."""
        await root(RevokeKeyRequest(key_id=issued[0].key.id, note="first"))
        revoked = await root(
            RevokeKeysRequest(key_ids=[one.key.id for one in issued[:2]], note="second")
        )
        assert [key.revocation_note for key in revoked.keys] == ["first", "second"]
        assert revoked.receipt.revision == 2

    async def test_with_an_unknown_one_none_is_revoked(
        self, root: Api, workspace: str, issued: list[IssueKeyResponse]
    ) -> None:
        """All or nothing: the answer names the key that was not found."""
        ids = [issued[0].key.id, "key_nowhere", issued[1].key.id, "key_nowhere_either"]
        refused = await refusal(root(RevokeKeysRequest(key_ids=ids)))
        assert (refused.reason, refused.metadata) == ("KEY_NOT_FOUND", {"key_id": "key_nowhere"})
        listed = await root(ListKeysRequest(workspace_id=workspace))
        assert {key.state for key in listed.keys} == {KEY_STATE_ACTIVE}

    @pytest.mark.parametrize(
        "ids", [[], ["key_1", "key_1"], [f"key_{number}" for number in range(1_001)]]
    )
    async def test_none_or_one_twice_or_too_many_are_refused(
        self, root: Api, ids: list[Any]
    ) -> None:
        """A batch has 1 to 1,000 keys, each once."""
        with invalid_field("key_ids"):
            await root(RevokeKeysRequest(key_ids=ids))
