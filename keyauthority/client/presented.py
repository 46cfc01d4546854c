"""What the text of a presented secret tells without a call."""

from __future__ import annotations

from typing import Final

from keyauthority.client.verification import Verification
from keyauthority.domain import secrets
from keyauthority.domain.verdicts import Verdict

MALFORMED: Final = Verification(Verdict.MALFORMED, None)
"""The verdict on noise."""


def is_native(secret: str) -> bool:
    """Tell whether *secret* begins like those that the authority mints."""
    return secret.startswith(secrets.KEY_PREFIX)


def is_noise(secret: str) -> bool:
    """Tell whether *secret* is refused without a call.

    That is our own prefix with a wrong shape or checksum, and what no imported secret may look
    like. Anything else is the authority's to judge.
    """
    if is_native(secret):
        return secrets.record_id(secret) is None
    return not secrets.is_foreign(secret)
