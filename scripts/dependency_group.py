"""Print one dependency group of pyproject.toml as requirement lines.

``pip install --group`` exists only from pip 25.1 on; this keeps older ones working.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(group: str) -> list[str]:
    """The requirements of ``group``; an unknown group is a KeyError."""
    groups: dict[str, list[str]] = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    return groups[group]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
