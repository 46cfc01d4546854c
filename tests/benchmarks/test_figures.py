"""What is measured by itself is what it says; how fast anything is, is not asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import postgres
from benchmarks.authority import Authority
from benchmarks.comparing import Measuring
from benchmarks.processes import BenchmarkError
from benchmarks.results import Latencies
from benchmarks.rows import client, cutting, replicas, revoking
from benchmarks.verifiers import State, verifiers, wire


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
        there.must_be_ready()
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
    except postgres.NoPostgresError as reason:
        pytest.skip(str(reason))
