"""Every limit of a request, at its edge: what just fits is taken, what doesn't is refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from keyauthority.domain.limits import LIFETIME
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyResponse,
    ListKeysRequest,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.wire import timestamp
from tests.conformance.records import MICROSECOND, START
from tests.rpc.parts import Api, invalid_field, issue, reason

TEN_YEARS = int(LIFETIME.total_seconds())

FITTING: dict[str, list[Any]] = {
    "name": ["x", "x" * 100, "ü" * 100, "a b", "열쇠 🔑"],
    "scopes": [[], ["a" * 128], [str(number) for number in range(32)], ["a-Z:0._/*"]],
    "labels": [
        {},
        {"k" * 63: "v" * 63},
        {"k": ""},
        {str(number): "v" for number in range(16)},
        {"키": "값"},
    ],
}
BREAKING: dict[str, list[Any]] = {
    "name": ["", " ", "x" * 101, "ü" * 101, "\0", "tab\t", "line\n", "\x7f", "\u202e", "\u2028"],
    "scopes": [
        [""],
        ["a" * 129],
        ["two words"],
        ["ü"],
        ["a\n"],
        ["a", "b", "a"],
        [str(number) for number in range(33)],
    ],
    "labels": [
        {"": "v"},
        {"k" * 64: "v"},
        {"k": "v" * 64},
        {"k\n": "v"},
        {"k": "\0"},
        {str(number): "v" for number in range(17)},
    ],
}


def cases(of: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(field, value, id=f"{field}-{number}")
        for field, values in of.items()
        for number, value in enumerate(values)
    ]


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


async def number_of_keys(api: Api) -> int:
    return len((await api(ListKeysRequest())).keys)


async def test_what_fits_is_kept(root: Api, workspace: str, issued: IssueKeyResponse) -> None:
    """As it was sent, character for character, in a new key and an old one."""
    for field, values in FITTING.items():
        for value in values:
            given: dict[str, Any] = {"name": "x", field: value}
            made = (await issue(root, workspace, **given)).key
            assert getattr(made, field) == value
            request = UpdateKeyRequest(key=Key(**{"id": issued.key.id, field: value}))
            request.update_mask.paths.append(field)
            assert getattr((await root(request)).key, field) == value


@pytest.mark.parametrize(("field", "value"), cases(BREAKING))
async def test_what_breaks_a_limit_is_refused(
    root: Api, workspace: str, issued: IssueKeyResponse, field: str, value: Any
) -> None:
    """The refusal names the field; no key is made or changed."""
    given: dict[str, Any] = {"name": "x", field: value}
    with invalid_field(field):
        await issue(root, workspace, **given)
    request = UpdateKeyRequest(key=Key(**{"id": issued.key.id, field: value}))
    request.update_mask.paths.append(field)
    with invalid_field(field):
        await root(request)
    assert await number_of_keys(root) == 1
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == issued.key


@pytest.mark.parametrize(
    "moment",
    [START, START - MICROSECOND, START + LIFETIME + MICROSECOND],
    ids=["now", "past", "too far"],
)
async def test_a_key_ends_in_the_next_ten_years(
    root: Api, workspace: str, issued: IssueKeyResponse, moment: Any
) -> None:
    """Neither in the past nor beyond."""
    with invalid_field("expire_time"):
        await issue(root, workspace, expire_time=timestamp(moment))
    with invalid_field("expire_time"):
        await root(UpdateKeyRequest(key=Key(id=issued.key.id, expire_time=timestamp(moment))))


@pytest.mark.parametrize("moment", [START + MICROSECOND, START + LIFETIME])
async def test_a_key_may_end_at_either_edge(root: Api, workspace: str, moment: Any) -> None:
    """A microsecond from now, or ten years to the microsecond."""
    issued = await issue(root, workspace, expire_time=timestamp(moment))
    assert issued.key.expire_time == timestamp(moment)


NO_MOMENTS = [
    Timestamp(seconds=10**18),
    Timestamp(seconds=-(10**18)),
    Timestamp(seconds=253_402_300_800),
    Timestamp(seconds=-62_135_596_801),
    Timestamp(seconds=1, nanos=-1),
    Timestamp(seconds=1, nanos=1_000_000_000),
]


@pytest.mark.parametrize("moment", NO_MOMENTS, ids=range(6))
async def test_what_is_no_moment_is_refused(
    root: Api, workspace: str, issued: IssueKeyResponse, moment: Timestamp
) -> None:
    """A time outside the calendar, or with impossible nanoseconds."""
    with invalid_field("expire_time"):
        await issue(root, workspace, expire_time=moment)
    with invalid_field("expire_time"):
        await root(UpdateKeyRequest(key=Key(id=issued.key.id, expire_time=moment)))
    with invalid_field("start_time"):
        await root(ListAuditEntriesRequest(start_time=moment))


@pytest.mark.parametrize(
    "ttl",
    [
        Duration(),
        Duration(seconds=-1),
        Duration(nanos=-1),
        Duration(nanos=999),
        Duration(seconds=TEN_YEARS, nanos=1_000),
        Duration(seconds=10**18),
        Duration(seconds=-(10**18)),
    ],
    ids=range(7),
)
async def test_a_lifetime_is_more_than_nothing_and_ten_years_at_most(
    root: Api, workspace: str, ttl: Duration
) -> None:
    """What is no such length of time is refused."""
    with invalid_field("ttl"):
        await issue(root, workspace, ttl=ttl)


async def test_a_lifetime_may_be_ten_years(root: Api, workspace: str) -> None:
    """To the microsecond."""
    issued = await issue(root, workspace, ttl=Duration(seconds=TEN_YEARS))
    assert issued.key.expire_time == timestamp(START + LIFETIME)


@pytest.mark.parametrize(
    "overlap",
    [
        Duration(seconds=-1),
        Duration(seconds=90 * 86_400, nanos=1_000),
        Duration(seconds=10**18),
        Duration(seconds=-1, nanos=1),
    ],
    ids=range(4),
)
async def test_an_overlap_is_90_days_at_most(
    root: Api, issued: IssueKeyResponse, overlap: Duration
) -> None:
    """And never negative."""
    with invalid_field("overlap"):
        await root(RotateKeyRequest(key_id=issued.key.id, overlap=overlap))


async def test_an_overlap_may_be_90_days(root: Api, issued: IssueKeyResponse) -> None:
    """To the microsecond."""
    overlap = Duration(seconds=90 * 86_400)
    rotated = await root(RotateKeyRequest(key_id=issued.key.id, overlap=overlap))
    assert rotated.key.secrets[1].end_time == timestamp(START + timedelta(days=90))


@pytest.mark.parametrize("note", ["x" * 501, "\0", "\r", "\u2028"])
async def test_a_note_is_500_characters_at_most(
    root: Api, issued: IssueKeyResponse, note: str
) -> None:
    """And all of them can be seen, line breaks aside; nothing is revoked."""
    with invalid_field("note"):
        await root(RevokeKeyRequest(key_id=issued.key.id, note=note))
    with invalid_field("note"):
        await root(RevokeKeysRequest(key_ids=[issued.key.id], note=note))
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key == issued.key


async def test_a_note_may_have_500_characters(root: Api, issued: IssueKeyResponse) -> None:
    """Of any script."""
    note = "유" * 499 + "\n"
    revoked = await root(RevokeKeyRequest(key_id=issued.key.id, note=note))
    assert revoked.key.revocation_note == note


async def test_a_reason_there_is_not_is_refused(root: Api, issued: IssueKeyResponse) -> None:
    """A reason of a later version is refused rather than lost."""
    unknown: Any = 6
    with invalid_field("reason"):
        await root(RevokeKeyRequest(key_id=issued.key.id, reason=unknown))


@pytest.mark.parametrize("key_id", ["", "x" * 10_000, "' OR 1=1 --", "key_\0", "🔑", "key_%"])
async def test_an_odd_id_is_not_found(root: Api, issued: IssueKeyResponse, key_id: str) -> None:
    """An id is compared, whatever it holds, and never taken apart."""
    requests: list[Message] = [
        GetKeyRequest(key_id=key_id),
        RevokeKeyRequest(key_id=key_id),
        UpdateKeyRequest(key=Key(id=key_id, name="x")),
        RotateKeyRequest(key_id=key_id),
    ]
    assert {await reason(root(request)) for request in requests} == {"KEY_NOT_FOUND"}
    assert await reason(issue(root, key_id)) == "WORKSPACE_NOT_FOUND"
