"""The package's page: README with absolute addresses, since a page elsewhere has no files beside it.

hatchling runs this when it builds (`[tool.hatch.metadata.hooks.custom]`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_is_relative_link = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")


class PackageReadme(MetadataHookInterface):
    """Sets `readme`, whose links begin with the project's URL `Source`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds the readme to *metadata*, as hatchling asks for it."""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata["urls"]["Source"]
        text = absolute(readme, source)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(readme: str, source: str) -> str:
    """Returns *readme* with links and images at *source*."""
    return _is_relative_link.sub(rf"]({source}/\1)", readme)
