"""The versions that are tested together: `constraints.txt`, which `make lock` writes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_dependency_has_a_version_that_it_allows() -> None:
    """Those of the base, of each extra and of the development; a new one takes a `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        lines += extra
    locked = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[1:]
    )
    versions = {canonicalize_name(name): version for name, version in locked.items()}

    requirements = [Requirement(line) for line in lines]
    wrong = [
        str(one)
        for one in requirements
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"))
        or canonicalize_name(one.name) not in versions
    ]

    assert wrong == []


def test_it_holds_versions_and_no_address() -> None:
    """From wherever they are had."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
