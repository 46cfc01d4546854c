"""The stylesheet, the script and the icon: read once, named by their content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from console.paths import url

STATIC: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that browsers may keep for ever, because its name changes with its content.

    `name` is `console.<hash>.css`; `content_type` the header's value; `body` the file.
    """

    name: str
    content_type: str
    body: bytes


class Assets:
    """All static files in *folder*, in memory."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = [path for path in folder.iterdir() if path.suffix in _TYPES]
        self._by_source = {path.name: _read(path) for path in files}
        self._by_name = {asset.name: asset for asset in self._by_source.values()}

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Asset | None:
        """Return the file served under *name*, which has the hash in it; None if there is none."""
        return self._by_name.get(name)

    def href(self, source: str) -> str:
        """Return where the file written as *source* (`console.css`) is served."""
        return url("static", name=self._by_source[source].name)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    digest = sha256(body).hexdigest()[:12]
    return Asset(f"{path.stem}.{digest}{path.suffix}", _TYPES[path.suffix], body)
