"""Two servers are compared by good answers only; how fast anything is, is not asserted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Measuring, Side
from benchmarks.edges import bare_proxy, gateway, request
from benchmarks.filling import fill
from benchmarks.loads import grpc_load, http_load
from benchmarks.processes import BenchmarkError, serving
from benchmarks.rows import stored, verifying
from benchmarks.rows.edge import Edge
from benchmarks.rows.verifying import verify_side
from keyauthority.client.admin import keys

TINY = Measuring(pairs=1, seconds=0.2)


def test_verify_is_compared_with_bare_grpc_and_batches_with_verify(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """Both gRPC comparisons get good answers on both sides."""
    assert verifying.verify(TINY, asked, secrets[0], folder).met is not None
    assert verifying.batch(TINY, asked, secrets).against == "`Verify`"


def test_many_secrets_are_presented_in_turn(asked: Authority, secrets: list[str]) -> None:
    """A load of several secrets gets a good answer for each of its calls."""
    side = verify_side(asked, secrets, fresh=True)
    with side.counted() as counts:
        load = side.load.run(0.2)
    assert counts[0] >= load.calls >= len(secrets)


def test_many_calls_that_are_refused_are_not_counted(asked: Authority) -> None:
    """A load of several secrets sees no more than answers; the server's counters see the verdicts."""
    side = verify_side(asked, ["sk-optk-nonsense", "sk-optk-more"])
    with pytest.raises(BenchmarkError, match="were good"):
        side.sample(0.2)


def test_many_calls_to_what_is_no_authority_fail(asked: Authority) -> None:
    """A load of several bodies whose connection is closed gives an error and no number."""
    load = grpc_load(asked.metrics_port, "/x", "token", [b"1", b"2"])
    with pytest.raises(BenchmarkError, match="calls failed"):
        load.run(0.2)


def test_answers_that_are_refusals_are_not_counted(asked: Authority) -> None:
    """A load that is answered with anything but `VALID` gives an error and no number."""
    side = verify_side(asked, ["sk-optk-nonsense"])
    with pytest.raises(BenchmarkError, match="were good"):
        TINY.compare("a", side, "b", side)


def test_failed_calls_are_not_counted(asked: Authority) -> None:
    """A load whose calls fail, with HTTP 200 as gRPC does, gives an error and no number.

    h2load doesn't see that, so the server's counters tell; what stands in for it says so itself.
    """
    side = verify_side(asked, ["x" * 9_000])
    reason = "INVALID_ARGUMENT" if shutil.which("h2load") is None else "calls failed"
    with pytest.raises(BenchmarkError, match=reason):
        TINY.compare("a", side, "b", side)


def test_gateway_and_bare_servers_answer_alike(
    asked: Authority, folder: Path, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request gets the same through both, from the gateway's cache where it says so."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    compared = list(Edge(TINY, asked, secrets[0], folder).comparisons())
    assert [one.owed for one in compared] == ["0.85", "0.95", "", "", ""]


def test_a_gateway_that_asks_is_not_said_to_answer_from_its_cache(
    asked: Authority, folder: Path, secrets: list[str]
) -> None:
    """A row about the cache gives no number if the authority was asked for each verdict."""
    edge = Edge(TINY, asked, secrets[0], folder)
    with pytest.raises(BenchmarkError, match="asked for"), edge._from_cache():
        verify_side(asked, secrets).sample(0.2)


def test_http_answers_that_are_refusals_are_not_counted(asked: Authority, folder: Path) -> None:
    """A gateway that refuses gives an error and no number."""
    with (
        serving("upstream", logs=folder) as upstream,
        gateway(asked, upstream, folder, access_log="off") as ours,
        bare_proxy(upstream, folder, access_log="off") as bare,
    ):
        assert request(bare, "/v1/x", {}, "{}")[1]
        with pytest.raises(BenchmarkError):
            Side(ours, http_load(f"http://127.0.0.1:{ours.port}/v1/x", {}, "{}")).sample(0.2)


def test_filled_books_hold_keys_that_verify(tmp_path: Path) -> None:
    """Of keys put straight into the tables as many as asked for can be verified."""
    with running_authority(tmp_path / "data", tmp_path) as first:
        workspace_id = first.create_workspace()
    secrets = fill(tmp_path / "data", workspace_id, count=50, usable=10)
    with running_authority(tmp_path / "data", tmp_path) as again:
        found = {again.verify(secret).key.id for secret in secrets}
        listed = again.client.call(keys.page(workspace_id, size=100)).records
    assert (len(found), len(listed)) == (10, 50)


def test_books_grow_tenfold() -> None:
    """Books are measured from a thousand keys to the most asked for."""
    assert stored.up_to(1_000_000) == [1_000, 10_000, 100_000, 1_000_000]
    assert stored.up_to(20_000) == [1_000, 10_000, 20_000]
