"""New keys, new secrets, new values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keyauthority.domain import etags
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import KEY_SETTINGS, RevocationReason
from keyauthority.domain.repositories import KeyFilter
from keyauthority.domain.updating import KeyUpdate
from tests.conformance.records import DAY, SECOND, START, ManualClock
from tests.domain.parts import UseCases, an_update, settings


async def test_an_issued_key(cases: UseCases, actor: Actor) -> None:
    """It is as asked for, holds no secret, and the audit tells of it without a revision."""
    key_id, secret = await cases.issue(
        actor, name="billing", scopes=("b", "a"), labels={"team": "red"}, expire_time=START + DAY
    )

    key = await cases.finding.get(actor, key_id)
    assert (key.settings.name, key.settings.scopes, key.settings.labels) == (
        "billing",
        ("b", "a"),
        {"team": "red"},
    )
    assert (key.create_time, key.update_time, key.version) == (START, START, 1)
    assert key.settings.expire_time == START + DAY
    assert secret not in repr(key)
    [entry] = await cases.audit.page(AuditFilter(), 10, None)
    assert (entry.subject, entry.workspace_id, entry.revision) == (key_id, "ws_1", 0)
    assert entry.details == {"name": "billing"}
    assert secret not in repr(entry)


async def test_a_key_that_lives_for_a_while(cases: UseCases, actor: Actor) -> None:
    """A time to live counts from the moment of issuing; the longest is ten years."""
    for ttl in (timedelta(microseconds=1), timedelta(days=3653)):
        key_id, _ = await cases.issue(actor, ttl=ttl)
        assert (await cases.finding.get(actor, key_id)).settings.expire_time == START + ttl


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": ""}),
        ("scopes", {"scopes": ("a b",)}),
        ("labels", {"labels": {"": ""}}),
        ("expire_time", {"expire_time": START}),
        ("ttl", {"ttl": timedelta()}),
        ("ttl", {"ttl": -SECOND}),
        ("ttl", {"ttl": timedelta(days=3653, microseconds=1)}),
        ("ttl", {"ttl": timedelta.max}),
    ],
)
async def test_what_no_key_can_be(
    cases: UseCases, actor: Actor, field: str, fields: dict[str, Any]
) -> None:
    """A field that breaks its limit is named, and nothing is issued."""
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.issue(actor, **fields)

    assert refused.value.metadata == {"field": field}
    assert await cases.finding.page(actor, KeyFilter(), 10, None) == []


async def test_no_keys_in_a_suspended_workspace(cases: UseCases, actor: Actor) -> None:
    """They would be refused anyway; those that are there can still be rotated and revoked."""
    key_id, _ = await cases.issue(actor)
    await cases.workspaces.update(actor, "ws_1", name=None, suspended=True, etag="")

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.issue(actor)

    assert refused.value.reason is Reason.WORKSPACE_SUSPENDED
    await cases.rotate(actor, key_id)
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNUSED, "")


async def test_new_secrets_use_the_active_pepper(cases: UseCases, actor: Actor) -> None:
    """From its activation on; what was minted before stays with the old one."""
    key_id, _ = await cases.issue(actor)
    await cases.peppers.add(actor)
    await cases.rotate(actor, key_id)
    await cases.peppers.activate(actor, 2)
    await cases.rotate(actor, key_id)

    key = await cases.finding.get(actor, key_id)
    assert [secret.pepper_version for secret in key.secrets] == [2, 1, 1]


@pytest.mark.parametrize("overlap", [-SECOND, 90 * DAY + SECOND])
async def test_an_overlap_beyond_its_limits(
    cases: UseCases, actor: Actor, overlap: timedelta
) -> None:
    """It is refused and nothing is rotated."""
    key_id, _ = await cases.issue(actor)

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.rotate(actor, key_id, overlap)

    assert refused.value.metadata == {"field": "overlap"}
    assert len((await cases.finding.get(actor, key_id)).secrets) == 1


async def test_a_revoked_key_never_changes(cases: UseCases, actor: Actor) -> None:
    """It is neither rotated nor updated."""
    key_id, _ = await cases.issue(actor)
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNUSED, "")

    fields = an_update(disabled=False)
    for attempt in (
        cases.rotate(actor, key_id),
        cases.updating.update(actor, key_id, fields, ""),
    ):
        with pytest.raises(KeyAuthorityError) as refused:
            await attempt
        assert refused.value.reason is Reason.KEY_REVOKED


async def test_only_the_named_fields_change(cases: UseCases, actor: Actor) -> None:
    """The others are not even looked at."""
    key_id, _ = await cases.issue(actor, scopes=("a",), labels={"b": "c"}, ttl=DAY)
    fields = KeyUpdate(frozenset({"name"}), settings(name="other", disabled=True, scopes=("a b",)))

    key, receipt = await cases.updating.update(actor, key_id, fields, "")

    assert (key.settings.name, key.settings.disabled, key.settings.scopes, key.settings.labels) == (
        "other",
        False,
        ("a",),
        {"b": "c"},
    )
    assert key.settings.expire_time == START + DAY
    assert (key.version, receipt.revision) == (2, 1)


async def test_all_fields_change(cases: UseCases, actor: Actor) -> None:
    """And come back as they were written."""
    key_id, _ = await cases.issue(actor)
    fields = an_update(
        name="other", disabled=True, expire_time=START + DAY, scopes=("a",), labels={"b": "c"}
    )

    await cases.updating.update(actor, key_id, fields, "")

    key = await cases.finding.get(actor, key_id)
    assert (key.settings.name, key.settings.disabled, key.settings.scopes, key.settings.labels) == (
        "other",
        True,
        ("a",),
        {"b": "c"},
    )
    assert key.settings.expire_time == START + DAY
    *entries, _ = await cases.audit.page(AuditFilter(), 10, None)
    assert len(entries) == len(KEY_SETTINGS)
    assert {entry.revision for entry in entries} == {1}


async def test_an_expired_key_written_back(
    cases: UseCases, actor: Actor, clock: ManualClock
) -> None:
    """Its past expiry may stay, or move to the future, but not elsewhere in the past."""
    key_id, _ = await cases.issue(actor, ttl=DAY)
    clock.time += 2 * DAY

    key, _ = await cases.updating.update(
        actor, key_id, an_update(name="other", expire_time=START + DAY), ""
    )
    assert (key.settings.name, key.settings.expire_time) == ("other", START + DAY)
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.updating.update(actor, key_id, an_update(expire_time=START + DAY + SECOND), "")
    assert refused.value.metadata == {"field": "expire_time"}
    key, _ = await cases.updating.update(actor, key_id, an_update(expire_time=None), "")
    assert key.settings.expire_time is None


async def test_etags(cases: UseCases, actor: Actor) -> None:
    """A change that builds on what was read succeeds once; an empty etag builds on nothing."""
    key_id, _ = await cases.issue(actor)
    read = etags.etag(key_id, (await cases.finding.get(actor, key_id)).version)
    disable = an_update(disabled=True)
    enable = an_update(disabled=False)

    await cases.updating.update(actor, key_id, disable, read)
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.updating.update(actor, key_id, enable, read)
    assert refused.value.reason is Reason.ETAG_MISMATCH
    current = refused.value.metadata["etag"]
    await cases.updating.update(actor, key_id, enable, current)
    await cases.updating.update(actor, key_id, disable, "")


def test_etags_differ() -> None:
    """From record to record and from version to version."""
    records = [("key_1", 1), ("key_1", 2), ("key_2", 1), ("key_1", 11), ("key_11", 1)]

    assert len({etags.etag(*record) for record in records}) == len(records)
