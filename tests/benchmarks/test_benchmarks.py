"""The benchmarks measure what they say; how fast anything is, is not asserted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.revoking import Latencies, revocations
from benchmarks.scenarios import Scenes, verify_side

from benchmarks import report
from benchmarks.authority import Authority, authority
from benchmarks.bare import bare_proxy, cheap_upstream
from benchmarks.comparing import Comparison, Measuring, Sample, Side
from benchmarks.filling import fill
from benchmarks.gateway import ask, gateway
from benchmarks.loads import http_load
from benchmarks.processes import BenchmarkError

TINY = Measuring(pairs=1, seconds=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def asked(folder: Path) -> Iterator[Authority]:
    with authority(folder / "data", folder) as running:
        yield running


@pytest.fixture(scope="module")
def secrets(asked: Authority) -> list[str]:
    return [secret for _, secret in asked.issue(3, asked.create_workspace())]


def test_verify_is_compared_with_bare_grpc_and_batches_with_verify(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """Both gRPC comparisons get good answers on both sides."""
    comparisons = Scenes(TINY, asked, folder / "data", folder, secrets).comparisons()
    against = [next(comparisons).against, next(comparisons).against]
    assert against == ["bare grpc.aio, same messages, prebuilt reply", "`Verify`"]


def test_many_secrets_are_presented_in_turn(asked: Authority, secrets: list[str]) -> None:
    """A load of several secrets gets a good answer for each of its calls."""
    side = verify_side(asked, secrets)
    with side.counted() as counts:
        load = side.load.run(0.2)
    assert counts[0] >= load.answers >= len(secrets)


def test_answers_that_are_refusals_are_not_counted(asked: Authority) -> None:
    """A load that is answered with anything but `VALID` gives an error and no number."""
    side = verify_side(asked, ["sk-optk-nonsense"])
    with pytest.raises(BenchmarkError, match="were good"):
        TINY.compare("a", side, "b", side)


def test_failed_calls_are_not_counted(asked: Authority) -> None:
    """A load whose calls fail, with HTTP 200 as gRPC does, gives an error and no number."""
    side = verify_side(asked, ["x" * 9_000])
    with pytest.raises(BenchmarkError, match="calls failed"):
        TINY.compare("a", side, "b", side)


def test_gateway_and_bare_proxy_answer_alike(
    asked: Authority, folder: Path, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request gets the same body through both, and both can be loaded."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    headers = {"authorization": f"Bearer {secrets[0]}", "content-type": "application/json"}
    with (
        cheap_upstream(folder) as upstream,
        gateway(asked, folder / "data", upstream, folder, access_log="off") as ours,
        bare_proxy(upstream, folder, access_log="off") as bare,
    ):
        bodies = {ask(one, "/v1/x", headers, "{}")[1] for one in (ours, bare)}
        sides = [
            Side(one, http_load(f"http://127.0.0.1:{one.port}/v1/x", headers, "{}"))
            for one in (ours, bare)
        ]
        compared = TINY.compare("a", sides[0], "b", sides[1])
    assert len(bodies) == 1
    assert len(compared.ratios) == 1


def test_filled_books_hold_keys_that_verify(tmp_path: Path) -> None:
    """Of keys put straight into the tables as many as asked for can be verified."""
    with authority(tmp_path / "data", tmp_path) as first:
        workspace_id = first.create_workspace()
    secrets = fill(tmp_path / "data", workspace_id, count=50, usable=10)
    with authority(tmp_path / "data", tmp_path) as again:
        found = {again.verify(secret).key.id for secret in secrets}
    assert len(found) == 10


def test_revocations_are_timed(asked: Authority) -> None:
    """As many keys are revoked as asked for."""
    assert revocations(asked, asked.create_workspace(), 3).count == 3


def test_page_gives_medians_of_pairs() -> None:
    """A row's ratio is the median of its pairs' ratios, whatever the machine did between pairs."""
    pairs = [
        (Sample(rate, 1.0, 0.1), Sample(base, 1.0, 0.1))
        for rate, base in ((50, 100), (6, 10), (900, 1000))
    ]
    compared = Comparison("ours", "theirs", "0.80", "0.90", ("wrk", "wrk"), pairs)
    page = report.page(
        [compared],
        Latencies(9, 1.0, 2.0, 3.0),
        command="make bench",
        seconds=2.0,
        machine={"cores": "2"},
        versions={"Python": "3"},
    )
    assert "| ours | theirs | **0.60** (0.50 to 0.90) | 0.60 (0.50 to 0.90) | 0.80 | 0.90 |" in page
