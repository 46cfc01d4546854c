"""Changes that are made and wait at the fence: they take up no place, and can tell how far they are."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Self

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.fencing import Receipt
from keyauthority.domain.ports import Fence

MARGIN: Final = 0.05
"""Seconds before its caller's deadline at which a change that still spreads is answered so."""


class Progress:
    """How far one change is, told by the fence while this is entered.

    *release* gives up its place: when it is made, or when this is left.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release
        self._revision: int | None = None

    def __enter__(self) -> Self:
        _progress.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._give_up_place()

    def made(self, revision: int) -> None:
        """The change is durable, and waits from now on."""
        self._revision = revision
        self._give_up_place()

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

    def _give_up_place(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()


_progress: ContextVar[Progress] = ContextVar("progress")


class Spreading:
    """`Fence` that tells the call it is for that the change is made."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    async def wait(self, revision: int) -> Receipt:
        progress = _progress.get(None)
        if progress is not None:
            progress.made(revision)
        return await self._fence.wait(revision)
