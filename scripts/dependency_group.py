"""Prints one dependency group of pyproject.toml as requirement lines.

`pip install --group` exists only from pip 25.1 on; this works with older ones.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

if __name__ == "__main__":
    groups = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    print("\n".join(groups[sys.argv[1]]))
