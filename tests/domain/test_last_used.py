"""Noting uses in memory, and showing them."""

from __future__ import annotations

import math

from keyauthority.domain.callers import Actor
from keyauthority.domain.last_used import AT_ONCE, WRITTEN_AGAIN_AFTER, LastUsed
from keyauthority.domain.secrets import mint
from keyauthority.domain.verdicts import Verdict
from tests.conformance.records import (
    MICROSECOND,
    SECOND,
    START,
    ManualClock,
    a_key,
    a_secret,
    a_workspace,
)
from tests.domain.parts import UseCases, an_update
from tests.transactions import changing

ONE, TWO = ("key_1", b"a"), ("key_2", b"b")


def test_a_batch_has_the_latest_use_of_each_secret() -> None:
    """However often a secret is used between two rounds, it is written once."""
    uses = LastUsed()
    uses.mark(*ONE, START)
    uses.mark(*TWO, START)
    uses.mark(*ONE, START + SECOND)

    assert uses.due(0) == [{ONE: START + SECOND, TWO: START}]


def test_a_mark_stays_until_it_is_written() -> None:
    """A batch that could not be written is due again, with what came since."""
    uses = LastUsed()
    assert uses.due(0) == []
    uses.mark(*ONE, START)
    [failed] = uses.due(0)
    uses.mark(*TWO, START)
    [batch] = uses.due(10)

    uses.written(batch, 10)

    assert failed == {ONE: START}
    assert batch == {ONE: START, TWO: START}
    assert uses.due(math.inf) == []


def test_a_use_while_the_batch_is_written_stays() -> None:
    """What was written is an older use than the one to write next."""
    uses = LastUsed()
    uses.mark(*ONE, START)
    [batch] = uses.due(0)
    uses.mark(*ONE, START + SECOND)
    uses.written(batch, 0)

    assert uses.due(math.inf) == [{ONE: START + SECOND}]


def test_a_secret_is_written_once_a_minute() -> None:
    """A busy secret waits its minute and isn't dropped; others, and the last round, don't wait."""
    uses = LastUsed()
    uses.mark(*ONE, START)
    uses.written(uses.due(5)[0], 5)
    uses.mark(*ONE, START + SECOND)
    uses.mark(*TWO, START)

    assert uses.due(5 + WRITTEN_AGAIN_AFTER - 1) == [{TWO: START}]
    assert uses.due(5 + WRITTEN_AGAIN_AFTER) == [{ONE: START + SECOND, TWO: START}]
    uses.written({ONE: START + SECOND}, 70)
    uses.mark(*ONE, START + 2 * SECOND)
    assert uses.due(71) == [{TWO: START}]
    assert uses.due(math.inf) == [{TWO: START, ONE: START + 2 * SECOND}]


def test_many_secrets_make_several_batches() -> None:
    """None is left out, and none is in two."""
    uses = LastUsed()
    secrets = {(f"key_{number}", b"a"): START for number in range(2 * AT_ONCE + 1)}
    for secret in secrets:
        uses.mark(*secret, START)

    batches = uses.due(0)

    assert [len(batch) for batch in batches] == [AT_ONCE, AT_ONCE, 1]
    assert {secret: time for batch in batches for secret, time in batch.items()} == secrets


def test_a_flood_is_bounded() -> None:
    """With no room for another secret those at hand are kept up to date, and room comes again."""
    uses = LastUsed(most=1)
    uses.mark(*ONE, START)
    uses.mark(*TWO, START)
    uses.mark(*ONE, START + SECOND)
    [batch] = uses.due(0)
    uses.written(batch, 0)
    uses.mark(*TWO, START)

    assert batch == {ONE: START + SECOND}
    assert uses.due(0) == [{TWO: START}]


def test_what_is_shown_is_the_later_of_books_and_memory() -> None:
    """Another replica may have seen a later use than this one; secrets that are gone count too."""
    uses = LastUsed()
    key = a_key("key_1", secrets=(a_secret(b"a"), a_secret(b"b"), a_secret(b"c")))
    uses.mark("key_1", b"a", START + SECOND)
    uses.mark("key_1", b"b", START)
    books = {b"a": START, b"b": START + SECOND, b"gone": START}

    shown, other = uses.joined([key, a_key("key_2")], {"key_1": books})

    assert shown.last_used == {b"a": START + SECOND, b"b": START + SECOND, b"gone": START}
    assert other.last_used == {}
    assert shown == key


def test_a_shown_key_tells_no_digest() -> None:
    """The digests that the uses are kept by don't reach a log with the key."""
    uses = LastUsed()
    uses.mark("key_1", b"needle", START)
    [shown] = uses.joined([a_key("key_1", secrets=(a_secret(b"needle"),))], {})

    assert shown.last_used
    assert "needle" not in repr(shown)


async def test_only_a_secret_that_may_act_is_used(
    cases: UseCases, actor: Actor, clock: ManualClock
) -> None:
    """A refusal, for whatever reason, is no use; an accepted secret is used when it is judged."""
    key_id, secret = await cases.issue(actor)
    _, expired = await cases.issue(actor, ttl=MICROSECOND)
    disabled_id, disabled = await cases.issue(actor)
    fields = an_update(disabled=True)
    await cases.updating.update(actor, disabled_id, fields, "")
    rotated_id, ended = await cases.issue(actor)
    await cases.rotate(actor, rotated_id)
    _, suspended = await cases.issue(actor, "ws_2")
    await put_suspension(cases)
    clock.time += SECOND
    unknown = mint(key_id).reveal()

    given = await cases.verify_all([secret, expired, disabled, ended, suspended, unknown, "noise"])

    assert [one.verdict for one in given] == [
        Verdict.VALID,
        Verdict.EXPIRED,
        Verdict.DISABLED,
        Verdict.REVOKED,
        Verdict.WORKSPACE_SUSPENDED,
        Verdict.UNKNOWN,
        Verdict.MALFORMED,
    ]
    digest = (await cases.finding.get(actor, key_id)).secrets[0].digest
    assert cases.last_used.due(0) == [{(key_id, digest): START + SECOND}]


async def put_suspension(cases: UseCases) -> None:
    async with changing(cases.store) as tx:
        await tx.workspaces.update(a_workspace("ws_2", suspended=True))
