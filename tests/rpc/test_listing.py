"""Lists: their order, their filters, their pages."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import grpc
import pytest

from keyauthority.domain.callers import Role
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.caller_service_pb2 import ListCallersRequest
from keyauthority.v1.key_pb2 import (
    KEY_STATE_ACTIVE,
    KEY_STATE_DISABLED,
    KEY_STATE_EXPIRED,
    KEY_STATE_REVOKED,
    Key,
)
from keyauthority.v1.key_service_pb2 import (
    ListKeysRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.workspace_service_pb2 import ListWorkspacesRequest
from tests.conformance.records import ManualClock
from tests.rpc.parts import Api, Authority, invalid_field, issue, reason, refusal


async def all_of(api: Api, request: Any) -> list[list[Any]]:
    """The records of every page."""
    pages = []
    while True:
        response = await api(request)
        [records] = [value for field, value in response.ListFields() if field.is_repeated]
        pages.append(list(records))
        if not response.next_page_token:
            return pages
        request.page_token = response.next_page_token


async def test_pages_hold_every_key_once_newest_first(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """120 keys, a third of them made in the same moment as another, in pages of 7."""
    keys = []
    for number in range(120):
        clock.time += timedelta(microseconds=number % 3 != 0)
        keys.append((await issue(root, workspace, f"key {number}")).key)
    keys.sort(key=lambda key: (key.create_time.ToNanoseconds(), key.id), reverse=True)
    pages = await all_of(root, ListKeysRequest(workspace_id=workspace, page_size=7))
    assert [key for page in pages for key in page] == keys
    assert [len(page) for page in pages] == [7] * 17 + [1]


async def test_a_full_last_page_is_the_last(root: Api, workspace: str) -> None:
    """No token asks for a page that would be empty."""
    for _ in range(4):
        await issue(root, workspace)
    pages = await all_of(root, ListKeysRequest(workspace_id=workspace, page_size=2))
    assert [len(page) for page in pages] == [2, 2]


async def test_a_page_has_50_records_unless_asked(root: Api, workspace: str) -> None:
    """Nobody gets an endless list by forgetting the size; far too large a one is cut."""
    for _ in range(51):
        await issue(root, workspace)
    first = await root(ListKeysRequest(workspace_id=workspace))
    assert len(first.keys) == 50
    assert first.next_page_token
    everything = await root(ListKeysRequest(workspace_id=workspace, page_size=2**31 - 1))
    assert len(everything.keys) == 51
    assert not everything.next_page_token


async def test_a_page_goes_on_where_the_last_one_ended(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """A key issued between two pages shifts nothing."""
    names = []
    for number in range(4):
        clock.time += timedelta(seconds=1)
        names.append((await issue(root, workspace, str(number))).key.name)
    request = ListKeysRequest(workspace_id=workspace, page_size=2)
    first = await root(request)
    clock.time += timedelta(seconds=1)
    await issue(root, workspace, "late")
    request.page_token = first.next_page_token
    second = await root(request)
    assert [key.name for key in (*first.keys, *second.keys)] == names[::-1]


@pytest.mark.parametrize("size", [-1, -(2**31)])
@pytest.mark.parametrize(
    "kind", [ListKeysRequest, ListCallersRequest, ListWorkspacesRequest, ListAuditEntriesRequest]
)
async def test_a_negative_page_is_refused(root: Api, kind: Any, size: int) -> None:
    """A size below nothing is a mistake, in every list."""
    with invalid_field("page_size"):
        await root(kind(page_size=size))


class TestAPageToken:
    @pytest.fixture
    async def token(self, root: Api, workspace: str) -> str:
        for _ in range(3):
            await issue(root, workspace)
        response = await root(ListKeysRequest(workspace_id=workspace, page_size=1))
        token: str = response.next_page_token
        return token

    async def test_allows_another_size(self, root: Api, workspace: str, token: str) -> None:
        """The pages of one listing may differ in size."""
        request = ListKeysRequest(workspace_id=workspace, page_size=30, page_token=token)
        assert len((await root(request)).keys) == 2

    async def test_is_refused_when_broken(self, root: Api, workspace: str, token: str) -> None:
        """Nobody can write a token, or change one."""
        sealed = bytearray(base64.urlsafe_b64decode(token))
        sealed[-1] ^= 1
        changed = base64.urlsafe_b64encode(sealed).decode()
        for broken in (changed, token[:-4], token[:8], "AAAA", "?", "ü", token + "A", "x" * 5_000):
            request = ListKeysRequest(workspace_id=workspace, page_token=broken)
            refused = await refusal(root(request))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.reason == "PAGE_TOKEN_INVALID"

    async def test_is_of_its_listing(self, root: Api, workspace: str, token: str) -> None:
        """With another filter, or in another list, it would begin at a place that isn't there."""
        others = [
            ListKeysRequest(page_token=token),
            ListKeysRequest(workspace_id=workspace, name_contains="a", page_token=token),
            ListKeysRequest(workspace_id=workspace, state=KEY_STATE_ACTIVE, page_token=token),
            ListWorkspacesRequest(page_token=token),
            ListCallersRequest(page_token=token),
            ListAuditEntriesRequest(page_token=token),
            ListAuditEntriesRequest(subject=workspace, page_token=token),
        ]
        assert {await reason(root(other)) for other in others} == {"PAGE_TOKEN_INVALID"}

    async def test_is_of_its_caller(self, authority: Authority, workspace: str, token: str) -> None:
        """A token that another caller found is of no use to it."""
        other = await authority.caller(Role.ISSUER)
        request = ListKeysRequest(workspace_id=workspace, page_token=token)
        assert await reason(other(request)) == "PAGE_TOKEN_INVALID"

    async def test_does_not_show_where_it_points(self, root: Api, token: str) -> None:
        """It is opaque: nobody reads ids or times from it."""
        newest = (await root(ListKeysRequest(page_size=1))).keys[0]
        assert newest.id.encode() not in base64.urlsafe_b64decode(token)


class TestFilters:
    @pytest.fixture
    async def keys(self, root: Api, workspace: str, clock: ManualClock) -> dict[int, str]:
        """One key in each state."""
        ids = {}
        for state in (KEY_STATE_ACTIVE, KEY_STATE_DISABLED, KEY_STATE_EXPIRED, KEY_STATE_REVOKED):
            issued = await issue(root, workspace, ttl={"seconds": 9} if state == 3 else None)
            ids[int(state)] = issued.key.id
        disabled = Key(id=ids[KEY_STATE_DISABLED], disabled=True)
        await root(UpdateKeyRequest(key=disabled))
        await root(RevokeKeyRequest(key_id=ids[KEY_STATE_REVOKED]))
        clock.time += timedelta(seconds=9)
        return ids

    @pytest.mark.parametrize("state", [1, 2, 3, 4])
    async def test_by_state(
        self, root: Api, workspace: str, keys: dict[int, str], state: Any
    ) -> None:
        """The filter says the same as the record's own state, of this moment."""
        listed = await root(ListKeysRequest(workspace_id=workspace, state=state))
        assert [(key.id, key.state) for key in listed.keys] == [(keys[state], state)]

    async def test_by_a_state_there_is_not(self, root: Api) -> None:
        """A state of a later version is refused rather than ignored."""
        unknown: Any = 5
        with invalid_field("state"):
            await root(ListKeysRequest(state=unknown))

    @pytest.mark.parametrize(
        ("part", "found"),
        [
            ("prod", {"Production", "non-prod"}),
            ("PROD", {"Production", "non-prod"}),
            ("50%", {"50%_off"}),
            ("%", {"50%_off"}),
            ("_", {"50%_off"}),
            ("\\", {"back\\slash"}),
            ("'", {"it's"}),
            ("nothing", set()),
        ],
    )
    async def test_by_part_of_the_name(
        self, root: Api, workspace: str, part: str, found: set[str]
    ) -> None:
        """Letters match in either case, and no character is a wildcard."""
        for name in ("Production", "non-prod", "50%_off", "back\\slash", "it's"):
            await issue(root, workspace, name)
        listed = await root(ListKeysRequest(workspace_id=workspace, name_contains=part))
        assert {key.name for key in listed.keys} == found

    async def test_by_an_overlong_name(self, root: Api) -> None:
        """No name is longer, so nothing could be found."""
        with invalid_field("name_contains"):
            await root(ListKeysRequest(name_contains="x" * 101))

    async def test_by_a_workspace_there_is_not(self, root: Api) -> None:
        """An empty list would hide the typing error."""
        assert await reason(root(ListKeysRequest(workspace_id="ws_1"))) == "WORKSPACE_NOT_FOUND"

    async def test_by_workspace(self, authority: Authority, root: Api, workspace: str) -> None:
        """Each workspace's own keys, and all of them without one."""
        other = await authority.workspace("other")
        one, two = (await issue(root, workspace)).key, (await issue(root, other)).key
        assert list((await root(ListKeysRequest(workspace_id=other))).keys) == [two]
        assert {key.id for key in (await root(ListKeysRequest())).keys} == {one.id, two.id}


async def test_workspaces_are_paged(authority: Authority, clock: ManualClock) -> None:
    """The list of workspaces keeps the promises of the list of keys."""
    names = []
    for number in range(5):
        clock.time += timedelta(seconds=1)
        await authority.workspace(f"workspace {number}")
        names.append(f"workspace {number}")
    pages = await all_of(authority.root, ListWorkspacesRequest(page_size=2))
    assert [record.name for page in pages for record in page] == names[::-1]
    assert [len(page) for page in pages] == [2, 2, 1]


async def test_callers_are_paged(authority: Authority, clock: ManualClock) -> None:
    """The list of callers keeps them too; the root caller is the oldest."""
    ids = []
    for _ in range(4):
        clock.time += timedelta(seconds=1)
        ids.append((await authority.caller(Role.VERIFIER)).caller_id)
    pages = await all_of(authority.root, ListCallersRequest(page_size=2))
    listed = [record for page in pages for record in page]
    assert [record.id for record in listed[:-1]] == ids[::-1]
    assert listed[-1].name == "root"
