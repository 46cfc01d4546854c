"""What other services import to have secrets verified, to spend credits, and to call the authority.

The calls of its admin services are in `admin`.
"""

from keyauthority.base.process.settings import AddressError
from keyauthority.client.addresses import check_authority
from keyauthority.client.channel import PlaintextError, connect, connect_blocking
from keyauthority.client.credentials import (
    ClientCertificate,
    SecretFileError,
    bearer_metadata,
    client_certificate,
    load_token,
    person_metadata,
)
from keyauthority.client.spending.counters import Counters as SpendingCounters
from keyauthority.client.spending.holding import Spending
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.request import (
    AllHeld,
    OutOfCredits,
    Request,
    SpendingUnavailable,
)
from keyauthority.client.spending.spender import Spender
from keyauthority.client.verification import Verification, VerificationUnavailable
from keyauthority.client.verifier import Verifier
from keyauthority.client.verifier_client import VerifierClient
from keyauthority.coherence.entries import digest_of
from keyauthority.domain.secrets import SECRET_MARK, Secret, redact, secret_within
from keyauthority.domain.verdicts import Verdict, VerifiedKey

__all__ = [
    "SECRET_MARK",
    "AddressError",
    "AllHeld",
    "ClientCertificate",
    "OutOfCredits",
    "PlaintextError",
    "Request",
    "Secret",
    "SecretFileError",
    "Spender",
    "Spending",
    "SpendingCounters",
    "SpendingUnavailable",
    "SpoolError",
    "Verdict",
    "Verification",
    "VerificationUnavailable",
    "VerifiedKey",
    "Verifier",
    "VerifierClient",
    "bearer_metadata",
    "check_authority",
    "client_certificate",
    "connect",
    "connect_blocking",
    "digest_of",
    "load_token",
    "person_metadata",
    "redact",
    "secret_within",
]
