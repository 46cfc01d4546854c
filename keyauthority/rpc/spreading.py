"""Changes that are made and wait at the fence: they take up no place, and can tell how far they are."""

from __future__ import annotations

from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.admission import Places

MARGIN: Final = 0.05
"""Seconds before its caller's deadline at which a change that still spreads is answered so."""


class Progress:
    """How far one change is. It takes a place of *places* until it is made or over."""

    def __init__(self, places: Places) -> None:
        places.enter()
        self._places: Places | None = places
        self._revision: int | None = None

    def made(self, revision: int) -> None:
        """The change is durable, and waits from now on."""
        self._revision = revision
        self.give_up_place()

    def give_up_place(self) -> None:
        """The change needs its place no longer."""
        places, self._places = self._places, None
        if places is not None:
            places.leave()

    def check_not_made(self, within: float) -> None:
        """Raises `REVOCATION_SPREADING` if the change is durable: it is in force *within* seconds."""
        if self._revision is not None:
            raise KeyAuthorityError(
                Reason.REVOCATION_SPREADING,
                "the change is made and still spreading: it is in force everywhere within "
                f"{within:.2f} s",
                revision=str(self._revision),
                within=f"{within:.2f}",
            )
