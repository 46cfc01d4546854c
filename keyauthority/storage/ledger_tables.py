"""The tables of credits: accounts, entries, grants, and which grants an entry drew from."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    event,
    text,
)

from keyauthority.base.relational.columns import (
    Moment,
    Numbered,
    NumberMap,
    PlainText,
    microseconds,
)
from keyauthority.domain.ledger import Entry, Kind, Use
from keyauthority.escrow.grants import Grant
from keyauthority.storage.tables import metadata

# `entries` is the number of the newest entry.
accounts: Final = Table(
    "credit_accounts",
    metadata,
    Column("workspace_id", PlainText, ForeignKey("workspaces.id"), primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("escrowed", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    CheckConstraint("escrowed >= 0", "escrowed"),
)

# Triggers keep entries from being changed or deleted; see the migration.
entries: Final = Table(
    "credit_entries",
    metadata,
    Column("workspace_id", PlainText, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Numbered(Kind), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("reference", PlainText, nullable=False),
    Column("time", Moment, nullable=False),
    Column("subject", PlainText, nullable=False),
    Column("note", PlainText, nullable=False),
    Column("caller_id", PlainText, nullable=False),
    Column("caller_name", PlainText, nullable=False),
    Column("person_id", PlainText, nullable=False),
    Column("person_name", PlainText, nullable=False),
    Column("key_id", PlainText, nullable=False),
    Column("model", PlainText, nullable=False),
    Column("path", PlainText, nullable=False),
    Column("request_id", PlainText, nullable=False),
    Column("counts", NumberMap, nullable=False),
    Column("price_id", PlainText, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("session_id", PlainText, nullable=False),
    UniqueConstraint("workspace_id", "reference"),
    Index(None, "workspace_id", "time"),
    Index(None, "workspace_id", "key_id", "number"),
    Index(None, "workspace_id", "model", "number"),
    Index(None, "workspace_id", "subject"),
)

# Most entries are charges; those of the other kinds are listed by themselves.
IS_NO_CHARGE: Final = text(f"kind <> {Kind.CHARGE.value}")
Index(
    "credit_entries_no_charges",
    entries.c.workspace_id,
    entries.c.kind,
    entries.c.number,
    sqlite_where=IS_NO_CHARGE,
    postgresql_where=IS_NO_CHARGE,
)

# Refunds are few, and summed up apart from charges.
IS_REFUND: Final = text(f"kind = {Kind.REFUND.value}")
Index(
    "credit_entries_refunds",
    entries.c.workspace_id,
    entries.c.time,
    sqlite_where=IS_REFUND,
    postgresql_where=IS_REFUND,
)

grants: Final = Table(
    "credit_grants",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("workspace_id", PlainText, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("expire_time", Moment),
    Column("promotional", Boolean, nullable=False),
    CheckConstraint("remaining >= 0", "remaining"),
)

# Of the many grants that are used up, few are read again.
IN_USE: Final = grants.c.remaining > 0
Index(
    "credit_grants_in_use",
    grants.c.workspace_id,
    sqlite_where=IN_USE,
    postgresql_where=IN_USE,
)
Index(
    "credit_grants_expiring",
    grants.c.expire_time,
    sqlite_where=IN_USE,
    postgresql_where=IN_USE,
)

draws: Final = Table(
    "credit_draws",
    metadata,
    Column("workspace_id", PlainText, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("grant_id", PlainText, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)


def forbid_changes(
    table: Table, same: str, never: str = "entries of a ledger are never changed or deleted"
) -> None:
    """Has SQLite refuse changes of rows, and a new row in the place of another: *same* finds that one."""
    # The same as the migration makes. INSERT OR REPLACE deletes without asking the trigger of DELETE.
    name = table.name
    changes = {
        "UPDATE": "",
        "DELETE": "",
        "INSERT": f"WHEN EXISTS ({same}) ",
    }
    for change, when in changes.items():
        trigger = (
            f"CREATE TRIGGER {name}_no_{change.lower()} BEFORE {change} ON {name} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{never}'); END"
        )
        ddl: Any = DDL(trigger)  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", ddl.execute_if(dialect="sqlite"))


forbid_changes(
    entries,
    "SELECT 1 FROM credit_entries WHERE rowid = NEW.rowid OR workspace_id = NEW.workspace_id "
    "AND (number = NEW.number OR reference = NEW.reference)",
)
forbid_changes(
    draws,
    "SELECT 1 FROM credit_draws WHERE rowid = NEW.rowid OR workspace_id = NEW.workspace_id "
    "AND number = NEW.number AND grant_id = NEW.grant_id",
)

_OF_USE: Final = tuple(field.name for field in fields(Use))
_OF_ENTRY: Final = tuple(field.name for field in fields(Entry) if field.name != "use")


def entry_row(entry: Entry) -> tuple[Any, ...]:
    """Returns the row of *entry*: a value for each column, as it is stored."""
    use = entry.use
    return (
        entry.workspace_id,
        entry.number,
        entry.kind.value,
        entry.amount,
        entry.balance,
        entry.reference,
        microseconds(entry.time),
        entry.subject,
        entry.note,
        entry.caller_id,
        entry.caller_name,
        entry.person_id,
        entry.person_name,
        use.key_id,
        use.model,
        use.path,
        use.request_id,
        json.dumps(use.counts),
        use.price_id,
        use.held,
        use.estimated,
        use.status,
        use.session_id,
    )


def grant_row(workspace_id: str, grant: Grant) -> tuple[Any, ...]:
    """Returns the row of a *grant* to the workspace: a value for each column, as it is stored."""
    return (
        grant.id,
        workspace_id,
        grant.remaining,
        microseconds(grant.create_time),
        grant.priority,
        microseconds(grant.expire_time),
        grant.promotional,
    )


def entry_of(row: Any) -> Entry:
    """Returns the entry of *row*."""
    use = Use(**{name: getattr(row, name) for name in _OF_USE})
    return Entry(**{name: getattr(row, name) for name in _OF_ENTRY}, use=use)
