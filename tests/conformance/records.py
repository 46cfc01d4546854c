"""Records to put into the books."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeySettings, StoredSecret
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Replay, Transaction
from keyauthority.domain.workspaces import Workspace
from tests.transactions import changing

START = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class UndoError(Exception):
    """What a test ends a change with that must leave nothing."""


@asynccontextmanager
async def undone(store: Store) -> AsyncIterator[Transaction]:
    """A change that ends in an exception, which must pass through."""
    with pytest.raises(UndoError):  # noqa: PT012  # what raises is the end of the block
        async with changing(store) as tx:
            yield tx
            raise UndoError


class ManualClock:
    """A clock that stands until it is put forward."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


def a_workspace(workspace_id: str = "ws_1", **fields: Any) -> Workspace:
    workspace = Workspace(workspace_id, "acme", False, START, START, 1)
    return replace(workspace, **fields)


def a_secret(digest: bytes = b"digest", **fields: Any) -> StoredSecret:
    return replace(StoredSecret(digest, 1, "sk-optk-ab12…wxyz", START), **fields)


def a_key(key_id: str = "key_1", **fields: Any) -> Key:
    key = Key(
        id=key_id,
        workspace_id="ws_1",
        settings=KeySettings("a key"),
        create_time=START,
        update_time=START,
        revocation=None,
        version=1,
        secrets=(a_secret(f"digest of {key_id}".encode()),),
    )
    return with_settings(key, **fields)


def with_settings(key: Key, **fields: Any) -> Key:
    """The key with other values, of its own fields or of its settings."""
    named = {name: fields.pop(name) for name in KEY_SETTINGS if name in fields}
    return replace(key, settings=replace(key.settings, **named), **fields)


def a_caller(caller_id: str = "caller_1", **fields: Any) -> Caller:
    caller = Caller(
        id=caller_id,
        name=f"name of {caller_id}",
        roles=frozenset({Role.VERIFIER}),
        workspace_ids=(),
        certificate_name="",
        digest=b"digest",
        pepper_version=1,
        token_hint="optk-svc-ab12…wxyz",
        create_time=START,
    )
    return replace(caller, **fields)


def an_entry(**fields: Any) -> AuditEntry:
    entry = AuditEntry(
        id=0,
        time=START,
        caller_id="caller_1",
        caller_name="billing",
        method="IssueKey",
        action=Action.KEY_ISSUED,
        subject="key_1",
        workspace_id="ws_1",
        refused=False,
        source="192.0.2.1",
        request_id="request-1",
        details={},
        revision=0,
    )
    return replace(entry, **fields)


def a_pepper(version: int = 1, **fields: Any) -> Pepper:
    return replace(Pepper(version, PepperState.ACTIVE, b"fingerprint", START), **fields)


def a_replay(request_id: str = "request-1", **fields: Any) -> Replay:
    replay = Replay("caller_1", request_id, b"fingerprint", b"sealed", START + DAY)
    return replace(replay, **fields)
