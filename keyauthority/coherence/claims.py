"""What a verifier's claim is worth."""

from __future__ import annotations

from keyauthority.domain.revisions import Claim, Head


def credited(claim: Claim, head: Head) -> int:
    """The revision to write down for *claim*: its own, or 0 if the books can't have told it that.

    A claim of another epoch, or above the head, is from before a restore or from another
    authority. Whoever makes it has to drop what it cached (*reset*), and is waited for until it says
    that it did.
    """
    if claim.epoch != head.epoch or claim.revision > head.revision:
        return 0
    return claim.revision


def resets(claim: Claim, head: Head) -> bool:
    """Whether the answer to *claim* is a reset."""
    return credited(claim, head) != claim.revision or claim.epoch != head.epoch
