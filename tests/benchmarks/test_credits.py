"""The rows of credits measure what they say; how fast anything is, is not asserted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Comparison, Measuring
from benchmarks.filling_ledger import fill_ledger
from benchmarks.processes import BenchmarkError, serving
from benchmarks.results import Figure
from benchmarks.rows import crediting, ledgers, settling
from benchmarks.rows.billing import Billed, Tally
from keyauthority.client.admin import ledger
from keyauthority.domain.ledger import EntryFilter, Kind

TINY = Measuring(pairs=1, seconds=0.2)


def test_charges_are_settled_and_add_up(asked: Authority) -> None:
    """Charges that are counted stand in the ledgers."""
    assert settling.settling("SQLite", asked, 0.1).value.endswith(" /s")


def test_charges_that_were_lost_give_no_number(asked: Authority) -> None:
    """More charges counted than there are in the ledgers are an error."""
    with pytest.raises(BenchmarkError, match="lost"):
        settling._check(asked, [settling._billed(asked)], 1)


def test_a_filled_ledger_adds_up(tmp_path: Path) -> None:
    """A ledger that was filled has so many entries, its triggers, and takes further charges."""
    with running_authority(tmp_path / "data", tmp_path) as first:
        workspace_id = first.create_workspace()
        first.credit(workspace_id)
    fill_ledger(tmp_path / "data", workspace_id, 1_000)
    with running_authority(tmp_path / "data", tmp_path) as again:
        assert again.proof(workspace_id).entries == 1_000
        again.client.call(ledger.adjust(workspace_id, -1, "bench"))
        assert again.proof(workspace_id).entries == 1_001
        newest = again.client.call(ledger.page(EntryFilter(workspace_id), size=2)).records
    assert [entry.kind for entry in newest] == [Kind.ADJUSTMENT, Kind.CHARGE]


def test_reads_of_ledgers_are_counted_by_the_authority(tmp_path: Path) -> None:
    """Balances and pages of a ledger of each size are read, by good calls alone."""
    compared = list(ledgers.reading(Measuring(1, 1.0), 100, tmp_path, few=10))
    assert [one.what for one in compared] == [
        "balance, ledger of 100 entries",
        "newest page of entries, ledger of 100 entries",
    ]


def test_reductions_take_the_credits_of_verifiers(asked: Authority, folder: Path) -> None:
    """Verifiers have credits before each reduction and none after it, and keys are revoked."""
    revocations, top_ups, reductions = crediting.crediting("SQLite", asked, 2, folder)
    assert revocations.value.endswith("2 calls")
    assert top_ups.met is not None
    assert reductions.met is not None


def test_billing_is_compared_whole_and_streamed(
    asked: Authority, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is charged, clients get the same with and without billing, calls are counted."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    whole, calls, streamed = Billed.prepared(TINY, asked, folder, streams=3).results()
    assert isinstance(whole, Comparison)
    assert isinstance(streamed, Comparison)
    assert isinstance(calls, Figure)
    assert (whole.owed, streamed.owed, calls.owed) == ("0.80", "0.85", "≤ 5")


def test_requests_that_were_free_give_no_number(asked: Authority, folder: Path) -> None:
    """If fewer charges are entered than requests answered, there is an error."""
    billed = Billed.prepared(TINY, asked, folder / "free")
    tally = Tally(asked, requests=1)
    with (
        serving("upstream", logs=folder) as upstream,
        pytest.raises(BenchmarkError, match="0 charges of 1 requests"),
        billed._billing(upstream, tally),
    ):
        pass
