"""Whatever happens to keys in whatever order, every secret ever minted is judged as it should be."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.ports import Clock, Store
from keyauthority.domain.updating import KeyUpdate
from keyauthority.domain.verdicts import Verdict
from keyauthority.keyring import FileKeyring
from keyauthority.storage.memory import MemoryStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import MICROSECOND, SECOND, ManualClock, a_workspace
from tests.domain.model import KeyModel, Model
from tests.domain.parts import UseCases, an_actor, an_update, put_peppers, put_workspaces

LONG = bool(os.environ.get("TEST_LONG"))
WORKSPACES = ("ws_1", "ws_2")
BOOKS: dict[Path, MemoryStore] = {}
Opener = Callable[[Path, Clock], AbstractAsyncContextManager[Store]]


class LifeOfAKey(RuleBasedStateMachine):
    """Does things to the authority and to the model, and compares."""

    keys = Bundle("keys")
    workspaces = st.sampled_from(WORKSPACES)
    spans = st.sampled_from((1, 59, 60, 61, 3600)).map(lambda seconds: seconds * SECOND)
    versions = st.integers(1, 4)

    def __init__(self, opener: Opener, template: Path) -> None:
        super().__init__()
        self.opener = opener
        self.directory = Path(mkdtemp(dir=template.parent))
        shutil.copytree(template, self.directory, dirs_exist_ok=True)
        self.clock = ManualClock()
        self.model = Model()
        self.actor = an_actor()
        self.runner = asyncio.Runner()

    @initialize()
    def open(self) -> None:
        self.stack = AsyncExitStack()
        store = self.runner.run(
            self.stack.enter_async_context(self.opener(self.directory, self.clock))
        )
        self.cases = UseCases(store, FileKeyring.load(self.directory / "keyring.json"))

    def attempt(self, work: Awaitable[object], refusal: Reason | None) -> object:
        """What *work* gives; it must fail for *refusal* if there is one, and only then."""

        async def done() -> object:
            return await work

        if refusal is None:
            return self.runner.run(done())
        with pytest.raises(KeyAuthorityError) as refused:
            self.runner.run(done())
        assert refused.value.reason is refusal
        return None

    @rule(target=keys, workspace_id=workspaces, ttl=st.none() | spans)
    def issue(self, workspace_id: str, ttl: timedelta | None) -> object:
        suspended = workspace_id in self.model.suspended
        refusal = Reason.WORKSPACE_SUSPENDED if suspended else None
        issued = self.attempt(self.cases.issue(self.actor, workspace_id, ttl=ttl), refusal)
        if issued is None:
            return multiple()
        assert isinstance(issued, tuple)
        key_id, text = issued
        expire = None if ttl is None else self.model.now + ttl
        self.model.keys[key_id] = KeyModel(workspace_id, expire, [])
        self.model.mint(key_id, text)
        return key_id

    @rule(key_id=keys, overlap=st.just(timedelta()) | spans)
    def rotate(self, key_id: str, overlap: timedelta) -> None:
        key = self.model.keys[key_id]
        refusal = Reason.KEY_REVOKED if key.revoked else None
        rotated = self.attempt(self.cases.rotate(self.actor, key_id, overlap), refusal)
        if rotated is None:
            return
        assert isinstance(rotated, tuple)
        newest, *older = key.secrets
        self.end(newest, self.model.now + overlap)
        for text in older:
            self.end(text, self.model.now)
        self.model.mint(key_id, rotated[1])
        self.model.revision += 1

    def end(self, text: str, when: datetime) -> None:
        secret = self.model.secrets[text]
        secret.end = when if secret.end is None else min(secret.end, when)

    @rule(key_id=keys, disabled=st.booleans())
    def enable_or_disable(self, key_id: str, disabled: bool) -> None:
        key = self.model.keys[key_id]
        if self.update(key, key_id, an_update(disabled=disabled)):
            self.model.revision += key.disabled is not disabled
            key.disabled = disabled

    @rule(key_id=keys, ttl=st.none() | spans)
    def set_expiry(self, key_id: str, ttl: timedelta | None) -> None:
        key = self.model.keys[key_id]
        expire = None if ttl is None else self.model.now + ttl
        if self.update(key, key_id, an_update(expire_time=expire)):
            self.model.revision += key.expire != expire
            key.expire = expire

    def update(self, key: KeyModel, key_id: str, fields: KeyUpdate) -> bool:
        refusal = Reason.KEY_REVOKED if key.revoked else None
        self.attempt(self.cases.updating.update(self.actor, key_id, fields, ""), refusal)
        return refusal is None

    @rule(key_ids=st.lists(keys, min_size=1, max_size=3, unique=True))
    def revoke(self, key_ids: list[str]) -> None:
        reason = RevocationReason.COMPROMISED
        self.attempt(self.cases.revoking.revoke(self.actor, key_ids, reason, ""), None)
        for key_id in key_ids:
            self.model.revision += not self.model.keys[key_id].revoked
            self.model.keys[key_id].revoked = True

    @rule(workspace_id=workspaces, suspended=st.booleans())
    def suspend_or_resume(self, workspace_id: str, suspended: bool) -> None:
        update = self.cases.workspaces.update(
            self.actor, workspace_id, name=None, suspended=suspended, etag=""
        )
        self.attempt(update, None)
        self.model.revision += (workspace_id in self.model.suspended) is not suspended
        (self.model.suspended.add if suspended else self.model.suspended.discard)(workspace_id)

    @rule()
    def add_pepper(self) -> None:
        pending = self.model.peppers[max(self.model.peppers)] == "added"
        refusal = Reason.PEPPER_PENDING if pending else None
        self.attempt(self.cases.peppers.add(self.actor), refusal)
        if refusal is None:
            self.model.peppers[max(self.model.peppers) + 1] = "added"

    @rule(version=versions)
    def activate_pepper(self, version: int) -> None:
        state = self.model.peppers.get(version)
        refusals = {None: Reason.PEPPER_NOT_FOUND, "retired": Reason.PEPPER_RETIRED}
        self.attempt(self.cases.peppers.activate(self.actor, version), refusals.get(state))
        if state not in refusals:
            self.model.peppers[self.model.active()] = "superseded"
            self.model.peppers[version] = "active"

    @rule(version=versions)
    def retire_pepper(self, version: int) -> None:
        state = self.model.peppers.get(version)
        refusals = {None: Reason.PEPPER_NOT_FOUND, "active": Reason.PEPPER_ACTIVE}
        refusal = refusals.get(state)
        if refusal is None and self.model.needed(version):
            refusal = Reason.PEPPER_IN_USE
        self.attempt(self.cases.peppers.retire(self.actor, version), refusal)
        if refusal is None:
            self.model.peppers[version] = "retired"
            for secret in self.model.secrets.values():
                secret.forgotten |= secret.pepper == version

    @rule(span=spans | st.just(MICROSECOND))
    def pass_time(self, span: timedelta) -> None:
        self.model.now += span
        self.clock.time += span

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.stack.aclose())
        self.open()

    @invariant()
    def verdicts_are_the_models(self) -> None:
        """Each verdict is right now, and for as long as it says that it is."""
        presented = list(self.model.secrets)
        answers = self.runner.run(self.cases.verify_all(presented))
        for text, answer in zip(presented, answers, strict=True):
            assert answer.verdict is self.model.verdict(text, self.model.now)
            assert answer.revision == self.model.revision
            last = self.model.now + answer.cache_for - MICROSECOND
            assert answer.verdict is self.model.verdict(text, last)

    @invariant()
    def at_most_two_secrets_live(self) -> None:
        """No order of rotations leaves a third one."""
        for key in self.model.keys.values():
            verdicts = [self.model.verdict(text, self.model.now) for text in key.secrets]
            assert sum(verdict is Verdict.VALID for verdict in verdicts) <= 2

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.directory)


@asynccontextmanager
async def open_memory(directory: Path, clock: Clock) -> AsyncIterator[Store]:
    # A file's books outlive being closed; these do too, kept beside where the file would be.
    if directory not in BOOKS:
        BOOKS[directory] = MemoryStore(clock)
        await prepare(BOOKS[directory], directory)
    yield BOOKS[directory]


def open_sqlite_in(directory: Path, clock: Clock) -> AbstractAsyncContextManager[Store]:
    return open_sqlite(directory / "books.db", clock)


async def prepare(store: Store, directory: Path) -> None:
    await put_peppers(store, FileKeyring.load(directory / "keyring.json"))
    await put_workspaces(store, [a_workspace(one) for one in WORKSPACES])


async def prepare_sqlite(directory: Path) -> None:
    async with open_sqlite_in(directory, ManualClock()) as store:
        await prepare(store, directory)


def live(opener: Opener, template: Path, examples: int) -> None:
    """Lives *examples* lives of 40 steps: the same ones every time, others in the long form."""
    run_state_machine_as_test(
        lambda: LifeOfAKey(opener, template),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=not LONG,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A directory with a keyring, to start from."""
    template = tmp_path / "template"
    template.mkdir()
    FileKeyring.create(template / "keyring.json")
    return template


@pytest.mark.long
def test_lives_in_memory(template: Path) -> None:
    """In memory every verdict is the model's, whatever came before."""
    live(open_memory, template, 5_000 if LONG else 150)


@pytest.mark.long
def test_lives_in_a_file(template: Path) -> None:
    """In SQLite every verdict is the model's, closed and opened again at any point."""
    asyncio.run(prepare_sqlite(template))
    live(open_sqlite_in, template, 500 if LONG else 20)
