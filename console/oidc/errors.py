"""Why nobody was signed in."""

from __future__ import annotations

from typing import Final

_UNAVAILABLE: Final = "The sign-in provider can't be used right now; try again in a few minutes."
_REFUSED: Final = "The provider's answer can't be accepted, so nobody was signed in; start again."


class OidcError(Exception):
    """Nobody was signed in.

    The message is a sentence for the person; `reason` says more, for the operator's log. Both are
    words of ours: nothing the provider or the browser sent is in either.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class OidcUnavailable(OidcError):  # noqa: N818 - named for what it tells the caller
    """The provider is unreachable, broken or not set up for this console."""

    def __init__(self, reason: str, sentence: str = _UNAVAILABLE) -> None:
        super().__init__(reason, sentence)


class OidcRefused(OidcError):  # noqa: N818 - named for what it tells the caller
    """The person cancelled, or what came back is not to be trusted."""

    def __init__(self, reason: str, sentence: str = _REFUSED) -> None:
        super().__init__(reason, sentence)
