"""What a lease is granted on, read in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, func, select, true

from keyauthority.coherence.sessions import resets
from keyauthority.domain.allowances import WHOLE, Allowance
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.revisions import Claim, Head
from keyauthority.domain.sessions import REPLICA, Grant
from keyauthority.storage.sql.leases import TERMS, terms_of
from keyauthority.storage.tables import callers, change, head, terms

TOLD: Final = 1_000
"""How many changes a verifier is told at a time; beyond it a reset is cheaper for both."""

# One row for each change; a row without one if there is none, so that the rest is always there.
GRANT: Final = (
    select(
        head.c.epoch,
        head.c.revision,
        *TERMS,
        callers.c.id,
        callers.c.revoke_time,
        select(func.min(change.c.revision)).scalar_subquery(),
        change.c.revision,
        change.c.subject,
    )
    .select_from(head)
    .join(terms, true())
    .outerjoin(callers, callers.c.id == bindparam("caller_id"))
    .outerjoin(change, change.c.revision > bindparam("revision"))
    .order_by(change.c.revision)
    .limit(TOLD + 1)
)


def grant(
    rows: Sequence[Sequence[Any]],
    session_id: str,
    caller_id: str,
    claim: Claim,
    allowance: Allowance = WHOLE,
) -> Grant:
    """What the *rows* of `GRANT` say to a session's *claim*; raises `CREDENTIAL_INVALID`.

    *allowance* is the session's from before the rows were read, or as of then.
    """
    epoch, revision, *terms_row, known, revoke_time, oldest, _, _ = rows[0]
    if caller_id != REPLICA and (known is None or revoke_time is not None):
        raise KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")
    granted, at = terms_of(*terms_row), Head(epoch, revision)
    subjects = None
    if not (resets(claim, at) or len(rows) > TOLD or _forgotten(claim, at, oldest)):
        subjects = tuple(dict.fromkeys(row[-1] for row in rows if row[-1] is not None))
    lease = allowance.granted(granted.lease)
    return Grant(session_id, at, lease, subjects, granted.foreign_secrets, allowance)


def _forgotten(claim: Claim, at: Head, oldest: int | None) -> bool:
    # Whether changes after the claimed revision were pruned.
    return claim.revision < at.revision and (oldest is None or claim.revision < oldest - 1)
