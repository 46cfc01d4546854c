"""What is measured by itself is what it says; how fast anything is, is not asserted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import postgres
from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Measuring
from benchmarks.processes import BenchmarkError, wait_until
from benchmarks.results import Latencies
from benchmarks.rows import (
    client,
    cutting,
    many_verifiers,
    replicas,
    returning,
    revoking,
    together,
)
from benchmarks.slow_disk import slow_disk
from benchmarks.verifiers import State, Verifiers, verifiers, wire


def test_latencies_are_milliseconds() -> None:
    """A hundred calls of 1 to 100 ms have these quantiles."""
    found = Latencies.of([number / 1000 for number in range(1, 101)])
    assert found.count == 100
    assert (found.p50, found.p99, found.worst) == pytest.approx((50.5, 99.01, 100.0))


def test_revocations_wait_for_verifiers_that_had_the_keys(asked: Authority, folder: Path) -> None:
    """Keys that verifiers have in their caches are revoked, and they refuse them."""
    assert revoking.with_verifiers([asked], 3, 2, folder).count == 3


def test_a_revocation_that_waits_for_nobody_gives_no_number(asked: Authority, folder: Path) -> None:
    """If fewer verifiers are waited for than are connected, there is an error."""
    ((key_id, _),) = asked.issue(1, asked.create_workspace())
    with pytest.raises(BenchmarkError, match="sessions only"):
        revoking.revoke(asked, key_id, 2)


def test_verifiers_that_still_accept_are_found_out(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """Verifiers are asked what they would answer from memory."""
    with verifiers(asked, [asked.address] * 2, secrets, folder) as there:
        assert there.state() == State(leases=2, valid=2 * len(secrets))
        there.wait_until_ready()
        with pytest.raises(BenchmarkError, match="still accepted"):
            there.must_refuse()


def test_a_change_waits_for_a_verifier_out_of_reach(asked: Authority, folder: Path) -> None:
    """A verifier's lease is waited out while its process, or its wire, is stopped."""
    for row in (cutting.frozen, cutting.cut_off):
        assert "1 changes" in row("SQLite", asked, 1, folder).value


def test_a_change_that_waits_for_no_lease_gives_no_number(asked: Authority, folder: Path) -> None:
    """If the verifier out of reach was not waited for, there is an error."""
    with (
        cutting._one_more(asked, asked.address, folder) as (changes, one),
        wire(asked.process, folder) as unused,
        pytest.raises(BenchmarkError, match="0 leases"),
    ):
        cutting._change(asked, changes[0], one, unused)


def test_each_kind_of_change_is_fenced(asked: Authority) -> None:
    """All changes that are timed get a revision of their own."""
    workspace_id = asked.create_workspace()
    ((key_id, _),) = asked.issue(1, workspace_id)
    changes = cutting.fenced_changes(key_id, workspace_id)
    revisions = [asked.client.call(change).receipt.revision for change in changes]
    assert revisions == list(range(revisions[0], revisions[0] + 5))


def test_a_verifier_is_timed_and_weighed_from_within(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """Rates come from cached answers alone; memory comes from as many verdicts as asked for."""
    measured = client.in_process(Measuring(pairs=1, seconds=0.2), asked, secrets)
    assert [one.met is None for one in measured] == [False, True]
    assert client.memory(200, folder).value.endswith("of 200 verdicts")


def test_replicas_share_a_database(tmp_path: Path) -> None:
    """Keys are revoked through each replica in turn, and rates are of all replicas together."""
    try:
        with postgres.server() as url, replicas.running_replicas(url, 2, tmp_path) as asked:
            assert revoking.with_verifiers(asked, 4, 2, tmp_path).count == 4
            assert replicas._rate(asked, 0.2) > 0
            figures = list(together.on_postgres("PostgreSQL", asked, 10, tmp_path))
            assert len(figures) == 5
            assert 0.0 < float(figures[1].value) < 5
    except postgres.NoPostgresError as reason:
        pytest.skip(str(reason))


def test_what_is_not_ready_is_named(asked: Authority) -> None:
    """A measurement that can't start says which server lacks what."""
    with pytest.raises(BenchmarkError, match=r"authority at .* is not ready .*: no verdict"):
        wait_until(asked.process, lambda: "no verdict", within=0.1)
    with pytest.raises(BenchmarkError, match="answered VERDICT_MALFORMED"):
        asked.wait_for_verdict("sk-optk-nonsense", within=0.1)


def test_verifiers_that_lack_a_verdict_are_not_ready(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """How many leases and verdicts are missing is said."""
    with verifiers(asked, [asked.address] * 2, secrets, folder) as there:
        there.wait_until_ready()
        one_more = replace(there, verdicts=there.verdicts + 1)
        with pytest.raises(BenchmarkError, match=r"2 of 2 verifiers .* 6 of 8 verdicts"):
            one_more.wait_until_ready(within=0.1)


def test_many_change_together_and_commits_are_counted(tmp_path: Path) -> None:
    """Keys are issued and revoked by many callers, also on a slow disk."""
    figures = list(together.on_sqlite(40, tmp_path))
    assert [one.what.partition(",")[0] for one in figures] == [
        "`IssueKey`",
        "commits per change: `IssueKey`",
        "`RevokeKey`",
        "how long each waits: `RevokeKey`",
        "commits per change: `RevokeKey`",
        "`RevokeKey`",
    ]
    counted = "not measured" if shutil.which("cc") is None else "."
    assert all(counted in one.value for one in figures if one.what.startswith("commits"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc)")
def test_commits_are_counted_and_syncs_are_delayed(tmp_path: Path) -> None:
    """Each change is one commit at least, and waits for a sync of the disk."""
    with (
        slow_disk(tmp_path) as disk,
        running_authority(tmp_path / "data", tmp_path, environment=disk.environment) as asked,
    ):
        workspace_id, before = asked.create_workspace(), disk.commits
        list(asked.issue(5, workspace_id))
        assert disk.commits - before >= 5
        with disk.delayed(0.2):
            start = time.monotonic()
            list(asked.issue(1, workspace_id))
            assert time.monotonic() - start >= 0.2


def test_without_a_compiler_the_other_rows_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that need the shim say why they have no number."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    figures = list(together.on_sqlite(4, tmp_path))
    assert len(figures) == 6
    assert sum("no C compiler" in one.value for one in figures) == 3


def test_revocations_by_many_that_wait_for_nobody_give_no_number(
    asked: Authority, folder: Path
) -> None:
    """If a revocation waited for fewer verifiers than are connected, there is an error."""

    def one(
        authority: Authority, addresses: Sequence[str], secrets: Sequence[str], logs: Path
    ) -> AbstractContextManager[Verifiers]:
        return verifiers(authority, addresses[:1], secrets, logs)

    several = together.Together("SQLite", [asked], 2, folder, connected=3, running=one)
    keys, _ = several.issue()
    with pytest.raises(BenchmarkError, match="waited for 2 sessions, not 4"):
        several.revoke(keys)


def test_idle_verifiers_take_a_share_of_a_core(asked: Authority, folder: Path) -> None:
    """The CPU time of verifiers that only poll is a share of a core, and keys are revoked."""
    idle, revoked = many_verifiers.many_verifiers("SQLite", [asked], 2, 0.2, folder, count=3)
    assert idle.value.endswith("% of a core")
    assert revoked.value.endswith("2 calls")


def test_a_gateway_is_timed_from_the_return_of_its_lease(tmp_path: Path) -> None:
    """A gateway that can't reach the authority loses its lease, and answers again after it."""
    [figure] = returning.returning(tmp_path, count=5)
    assert int(figure.value.replace(",", "")) > 0
