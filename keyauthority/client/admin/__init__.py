"""Calls to the authority's admin services: keys, workspaces, callers, audit, operations.

from datetime import timedelta
from pathlib import Path

from keyauthority.client import connect_blocking, load_token
from keyauthority.client.admin import BlockingAdminClient, KeySettings, RefusedError, keys

with connect_blocking("localhost:50051") as channel:
    client = BlockingAdminClient(channel, load_token(Path("/run/secrets/issuer.token")))
    try:
        settings = KeySettings("billing", scopes=("invoices",))
        issued = client.call(keys.issue(workspace_id, settings, ttl=timedelta(days=90)))
    except RefusedError as error:
        return respond(422, field=error.field, because=error.message)
    return respond(201, id=issued.key.id, secret=issued.secret.reveal())

Each call is a value, so `AdminClient` makes the same calls in asyncio, over `connect`. A call that fails
raises an `AuthorityError`, whose class and attributes tell what to do.
"""

from keyauthority.client.admin import (
    audit,
    callers,
    identity,
    keys,
    ledger,
    operations,
    prices,
    verification,
    workspaces,
)
from keyauthority.client.admin.calling import (
    CHANGING,
    READING,
    AdminClient,
    BlockingAdminClient,
    Call,
    Page,
)
from keyauthority.client.admin.failures import (
    AuthorityError,
    CredentialError,
    MissingError,
    RefusedError,
    SpreadingError,
    TransportError,
    UnavailableError,
)
from keyauthority.client.admin.records import (
    Caller,
    Changed,
    ChargeToRecord,
    Identity,
    ImportedKey,
    IssuedKey,
    Key,
    NewCaller,
    NewPrice,
    Pepper,
    PricesSet,
    Recorded,
    RotatedKey,
    SecretInfo,
    Session,
    Sessions,
    Usage,
    Workspace,
)
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Person, Role
from keyauthority.domain.errors import Reason
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import KeySettings, KeyState, Revocation, RevocationReason, Who
from keyauthority.domain.ledger import Credited, Entry, EntryFilter
from keyauthority.domain.ledger import Kind as EntryKind
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.recorded import RecordedState
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.usage import Group, UsageSum
from keyauthority.escrow.slices import Account
from keyauthority.pricing.prices import Pattern, Price, Rates

__all__ = [
    "CHANGING",
    "READING",
    "Account",
    "Action",
    "AdminClient",
    "AuditEntry",
    "AuditFilter",
    "AuthorityError",
    "BlockingAdminClient",
    "Call",
    "Caller",
    "Changed",
    "ChargeToRecord",
    "CredentialError",
    "Credited",
    "Entry",
    "EntryFilter",
    "EntryKind",
    "Group",
    "Identity",
    "ImportedKey",
    "IssuedKey",
    "Key",
    "KeySettings",
    "KeyState",
    "MissingError",
    "NewCaller",
    "NewPrice",
    "Page",
    "Pattern",
    "Pepper",
    "PepperState",
    "Person",
    "Price",
    "PricesSet",
    "Rates",
    "Reason",
    "Receipt",
    "Recorded",
    "RecordedState",
    "RefusedError",
    "Revocation",
    "RevocationReason",
    "Role",
    "RotatedKey",
    "SecretInfo",
    "Session",
    "Sessions",
    "SpreadingError",
    "TransportError",
    "UnavailableError",
    "Usage",
    "UsageSum",
    "Who",
    "Workspace",
    "audit",
    "callers",
    "identity",
    "keys",
    "ledger",
    "operations",
    "prices",
    "verification",
    "workspaces",
]
