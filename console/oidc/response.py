"""What the browser brings back from the provider."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from console.oidc.discovery import Metadata
from console.oidc.errors import OidcError, OidcRefused, OidcUnavailable
from console.oidc.flow import Flow

_CANCELLED: Final = "The sign-in was cancelled at the provider."
_NOT_BEGUN_HERE: Final = (
    "This sign-in was not begun in this browser within the last ten minutes; start again."
)
_CANCELLATIONS: Final = frozenset(
    {"access_denied", "account_selection_required", "consent_required", "interaction_required",
     "login_required"}
)  # fmt: skip
_OUTAGES: Final = frozenset({"server_error", "temporarily_unavailable"})


def check_flow(flow: Flow, query: Mapping[str, str], now: datetime) -> None:
    """Raises OidcRefused unless *query* answers *flow*, in time."""
    if not flow.is_current(now):
        raise OidcRefused("response: too late", _NOT_BEGUN_HERE)
    if not flow.is_answered_by(query):
        raise OidcRefused("response: of another sign-in", _NOT_BEGUN_HERE)


def code_of(query: Mapping[str, str], metadata: Metadata, issuer: str) -> str:
    """The code. Raises OidcRefused or OidcUnavailable for what has none to trust."""
    # Whose answer it is comes first: an error of another provider's is none (RFC 9207).
    if query.get("iss", None if metadata.sends_issuer else issuer) != issuer:
        raise OidcRefused("response: of another issuer")
    if "error" in query:
        raise _error(query["error"])
    code = query.get("code")
    if not code:
        raise OidcRefused("response: without a code")
    return code


def _error(code: str) -> OidcError:
    if code in _CANCELLATIONS:
        return OidcRefused(f"response: {code}", _CANCELLED)
    if code in _OUTAGES:
        return OidcUnavailable(f"response: {code}")
    return OidcRefused("response: an error that only the provider can explain")
