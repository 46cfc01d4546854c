from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyauthority.v1.price_pb2 import Rates
from tests.e2e.edge import Edge, edge_running
from tests.e2e.running_demo import Demo, demo_in
from tests.node import node_with_packages


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One installation for all tests that leave it running; each makes its own workspace."""
    with edge_running(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture(scope="session")
def billing_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One that bills a nano-credit for each token."""
    folder = tmp_path_factory.mktemp("billing")
    spool = folder / "spool"
    spool.mkdir(mode=0o700)
    with edge_running(folder, "--billing", "enforce", "--spool", str(spool)) as edge:
        edge.operator.price("google/gemini-3-flash", Rates(input=10**6, output=10**6))
        yield edge


@pytest.fixture
def own_edge(tmp_path: Path) -> Iterator[Edge]:
    """An installation for one test that breaks it."""
    with edge_running(tmp_path) as edge:
        yield edge


@pytest.fixture
def workspace(edge: Edge) -> str:
    return edge.operator.workspace()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """What `make run` starts, not started yet."""
    with demo_in(tmp_path) as demo:
        yield demo


@pytest.fixture(scope="session")
def grpcurl_program() -> str:
    places = [os.environ.get("PATH", ""), os.environ.get("GOBIN", ""), str(Path.home() / "go/bin")]
    found = shutil.which("grpcurl", path=os.pathsep.join(filter(None, places)))
    if found is None:
        pytest.skip("needs grpcurl: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest")
    return found


@pytest.fixture(scope="session")
def node() -> str:
    return node_with_packages()
