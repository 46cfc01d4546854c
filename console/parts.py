"""What the pages are made with: one of each for the whole console."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from console.authority import Authority
from console.config import Settings
from console.oidc import Provider
from console.people import People
from console.rendering import Assets, Rendering
from keyauthority.client.admin import workspaces

_MOST: Final = 1_000


class Names:
    """The last known names of workspaces and keys, for forms shown while the authority is away."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()

    def remember(self, place: str, name: str) -> None:
        """Notes the name of a workspace, or of a key as `WORKSPACE/KEY`: only there is it known.

        Of more than a thousand the oldest go.
        """
        self._names[place] = name
        self._names.move_to_end(place)
        while len(self._names) > _MOST:
            self._names.popitem(last=False)

    def get(self, place: str, default: str) -> str:
        """The last known name."""
        return self._names.get(place, default)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages are made with."""

    settings: Settings
    # What browsers call the console, without a slash at the end.
    public_url: str
    books: People
    authority: Authority
    rendering: Rendering
    assets: Assets
    # None: nobody signs in elsewhere.
    provider: Provider | None
    clock: Callable[[], datetime]
    names: Names = field(default_factory=Names)

    def forget_setup_link(self) -> None:
        """Removes the file with the first owner's link, which is of no more use to anybody."""
        file = self.settings.setup_link_file
        if file is not None:
            with suppress(OSError):
                file.unlink()

    async def only_workspace(self, request_id: str) -> list[str]:
        """The workspace that the first owner owns: the only one, if there is just one.

        Raises `AuthorityError`.
        """
        acting = self.authority.acting_for(None, request_id)
        page = await acting.call(workspaces.page(size=2))
        return [one.id for one in page.records] if len(page.records) == 1 else []
