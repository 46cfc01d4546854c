"""Showing when keys and their secrets were last used."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from keyauthority.config import Settings
from keyauthority.server import Pace, serving
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyResponse,
    ListKeysRequest,
    LookupKeyRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest
from keyauthority.v1.wire import duration, timestamp
from tests.conformance.records import MICROSECOND, SECOND, START, ManualClock
from tests.rpc.parts import Api, Authority, eventually, issue, settings_in, verdict


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


async def get(api: Api, key_id: str) -> Key:
    key: Key = (await api(GetKeyRequest(key_id=key_id))).key
    return key


def unused(key: Key) -> bool:
    """Whether nothing is said of a use, neither of the key's nor of a secret's."""
    return not any(part.HasField("last_used_time") for part in (key, *key.secrets))


async def test_a_new_key_was_never_used(root: Api, issued: IssueKeyResponse) -> None:
    """Nor is it by being read, listed or looked up."""
    await root(LookupKeyRequest(secret=issued.secret))
    [listed] = (await root(ListKeysRequest())).keys
    assert all(map(unused, (issued.key, await get(root, issued.key.id), listed)))


async def test_a_use_shows_at_once_wherever_the_key_is_shown(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """Before it is written anywhere, every answer with the key in it tells of it."""
    key_id, used = issued.key.id, START + timedelta(hours=1)
    clock.time = used
    assert await verdict(root, issued.secret) == "VALID"
    clock.time += SECOND

    shown = [
        await get(root, key_id),
        *(await root(ListKeysRequest())).keys,
        (await root(LookupKeyRequest(secret=issued.secret))).key,
        (await root(UpdateKeyRequest(key=Key(id=key_id, name="other")))).key,
        (await root(RotateKeyRequest(key_id=key_id))).key,
        (await root(RevokeKeyRequest(key_id=key_id))).key,
    ]

    assert len(shown) == 6
    for key in shown:
        assert key.last_used_time == timestamp(used)
        assert key.secrets[-1].last_used_time == timestamp(used)


async def test_each_secret_has_its_own_time_and_the_key_the_latest(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """During an overlap it shows who still uses the old secret."""
    rotated = await root(
        RotateKeyRequest(key_id=issued.key.id, overlap=duration(timedelta(hours=1)))
    )
    assert unused(rotated.key)
    clock.time = START + SECOND
    await verdict(root, rotated.secret)
    clock.time = START + 2 * SECOND
    await root(BatchVerifyRequest(secrets=[issued.secret]))

    key = await get(root, issued.key.id)

    new, old = key.secrets
    assert new.last_used_time == timestamp(START + SECOND)
    assert old.last_used_time == timestamp(START + 2 * SECOND)
    assert key.last_used_time == timestamp(START + 2 * SECOND)


async def test_a_refused_secret_is_not_used(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """Who tries in vain doesn't make a key look alive."""
    await root(RotateKeyRequest(key_id=issued.key.id))
    clock.time += SECOND
    assert await verdict(root, issued.secret) == "REVOKED"
    assert unused(await get(root, issued.key.id))


async def test_a_use_is_no_change_of_the_key(
    root: Api, issued: IssueKeyResponse, clock: ManualClock
) -> None:
    """Its etag and update time stay: nobody's change fails because the key is in use."""
    clock.time += SECOND
    await verdict(root, issued.secret)
    key = await get(root, issued.key.id)
    assert (key.etag, key.update_time) == (issued.key.etag, issued.key.update_time)


@asynccontextmanager
async def started(settings: Settings, clock: ManualClock) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(settings, clock))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        await stack.enter_async_context(channel)
        yield Api(channel, settings.root_token.read_text().strip())


async def test_uses_survive_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    """A stop writes what the last calls left; later uses go on from there."""
    settings = settings_in(tmp_path)
    async with started(settings, clock) as root:
        workspace = await Authority(settings, 0, root).workspace()
        issued = await issue(root, workspace)
        used, clock.time = clock.time, clock.time + SECOND
        await verdict(root, issued.secret)
    async with started(settings, clock) as root:
        first = await get(root, issued.key.id)
        clock.time += MICROSECOND
        await verdict(root, issued.secret)
        second = await get(root, issued.key.id)

    assert first.last_used_time == first.secrets[0].last_used_time == timestamp(used + SECOND)
    assert second.last_used_time == timestamp(used + SECOND + MICROSECOND)


def written(settings: Settings) -> list[Any]:
    assert isinstance(settings.database, Path)
    with closing(sqlite3.connect(f"{settings.database.as_uri()}?mode=ro", uri=True)) as books:
        return books.execute("SELECT key_id, digest FROM last_used").fetchall()


class TestWritingAllTheTime:
    @pytest.fixture
    def pace(self) -> Pace:
        return Pace(writing_uses=0.01)

    async def test_a_use_is_written_while_the_authority_runs(
        self, authority: Authority, workspace: str
    ) -> None:
        """A crash loses only what came since the last round; what it is kept by is not told."""
        issued = await issue(authority.root, workspace)
        assert written(authority.settings) == []
        await verdict(authority.root, issued.secret)

        async def done() -> bool:
            return bool(written(authority.settings))

        await eventually(done)
        [(key_id, digest)] = written(authority.settings)
        key = await get(authority.root, issued.key.id)
        assert key_id == issued.key.id
        assert key.last_used_time == timestamp(START)
        assert digest not in key.SerializeToString()
