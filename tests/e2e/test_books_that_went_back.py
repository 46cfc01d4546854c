"""A backup that was put back without `db restore-epoch`: nobody was told, and nothing is promised of the
keys that it forgot. But what is revoked from then on has to stop.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from urllib.request import urlopen

from tests.e2e.edge import Edge, edge_with
from tests.e2e.processes import eventually
from tests.e2e.questions import ask

LEASE = 1.0
"""Seconds: what is revoked waits for the lease of a gateway that hears of nothing."""


def go_back(edge: Edge, backup: Path) -> None:
    """Stops the authority, and starts it again with the files of *backup*."""
    assert edge.authority.stop() == 0
    for file in edge.data_dir.glob("keyauthority.db*"):
        file.unlink()
    for file in backup.iterdir():
        shutil.copy2(file, edge.data_dir)
    edge.authority = edge.start_authority()
    edge.authority.port()


def back_up(edge: Edge, backup: Path) -> None:
    """Copies the books of a stopped authority, which then goes on."""
    assert edge.authority.stop() == 0
    backup.mkdir()
    for file in edge.data_dir.glob("keyauthority.db*"):
        shutil.copy2(file, backup)
    edge.authority = edge.start_authority()
    edge.authority.port()


def alarmed(edge: Edge) -> bool:
    return any(line["event"] == "books_went_back" for line in edge.gateway.log())


def lease_held(edge: Edge) -> bool:
    url = f"http://127.0.0.1:{edge.gateway_metrics_port}/metrics"
    with urlopen(url) as metrics:
        return b"\ngateway_lease_held 1" in metrics.read()


def test_a_key_revoked_after_the_books_went_back_is_refused(tmp_path: Path) -> None:
    """Also when as many changes were made since as the backup had forgotten."""
    with edge_with(tmp_path, LEASE) as edge:
        workspace, other = edge.operator.workspace("acme"), edge.operator.workspace("other")
        key, secret = edge.operator.issue(workspace)
        back_up(edge, tmp_path / "backup")
        edge.operator.suspend(other)
        edge.operator.suspend(other, suspended=False)
        eventually("the gateway has joined", lambda: edge.operator.verifiers() == 2)
        assert asyncio.run(ask(edge.port, secret)) == 200
        go_back(edge, tmp_path / "backup")
        eventually("the gateway says so", lambda: alarmed(edge))

        edge.operator.revoke(key.id)
        edge.operator.suspend(other)
        edge.operator.suspend(other, suspended=False)
        eventually("the gateway holds a lease again", lambda: lease_held(edge))

        assert asyncio.run(ask(edge.port, secret)) == 401
