from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.edge import Edge, edge_running


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One installation for all tests that leave it running; each makes its own workspace."""
    with edge_running(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def own_edge(tmp_path: Path) -> Iterator[Edge]:
    """An installation for one test that breaks it."""
    with edge_running(tmp_path) as edge:
        yield edge


@pytest.fixture
def workspace(edge: Edge) -> str:
    return edge.operator.workspace()
