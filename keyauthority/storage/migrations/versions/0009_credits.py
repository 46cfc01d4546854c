"""Credits: accounts, entries that are never changed, grants, and what entries drew of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
# Older versions know nothing of credits, and touch none of these tables.
usable_from = "0007"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NEVER = "entries of a ledger are never changed or deleted"


def upgrade() -> None:
    """Adds four tables, and triggers that forbid changing or deleting entries and draws."""
    op.create_table(
        "credit_accounts",
        sa.Column("workspace_id", STRING, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("balance", "escrowed")),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="credit_accounts_workspace_id_fkey"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name="credit_accounts_pkey"),
        sa.CheckConstraint("escrowed >= 0", name=op.f("credit_accounts_escrowed_check")),
    )
    _create_entries()
    op.create_table(
        "credit_grants",
        sa.Column("id", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("promotional", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="credit_grants_pkey"),
        sa.CheckConstraint("remaining >= 0", name=op.f("credit_grants_remaining_check")),
    )
    in_use = sa.text("remaining > 0")
    for name, column in (("in_use", "workspace_id"), ("expiring", "expire_time")):
        op.create_index(
            f"credit_grants_{name}",
            "credit_grants",
            [column],
            sqlite_where=in_use,
            postgresql_where=in_use,
        )
    op.create_table(
        "credit_draws",
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("grant_id", STRING, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "number", "grant_id", name="credit_draws_pkey"),
    )
    _forbid_changes(
        "credit_entries",
        "SELECT 1 FROM credit_entries WHERE rowid = NEW.rowid OR workspace_id = NEW.workspace_id "
        "AND (number = NEW.number OR reference = NEW.reference)",
    )
    _forbid_changes(
        "credit_draws",
        "SELECT 1 FROM credit_draws WHERE rowid = NEW.rowid OR workspace_id = NEW.workspace_id "
        "AND number = NEW.number AND grant_id = NEW.grant_id",
    )


def _create_entries() -> None:
    texts = ("caller_id", "caller_name", "person_id", "person_name", "key_id", "model", "path")
    op.create_table(
        "credit_entries",
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("reference", STRING, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        *(sa.Column(name, STRING, nullable=False) for name in ("subject", "note", *texts)),
        sa.Column("request_id", STRING, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("price_id", STRING, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("session_id", STRING, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "number", name="credit_entries_pkey"),
        sa.UniqueConstraint(
            "workspace_id", "reference", name="credit_entries_workspace_id_reference_key"
        ),
    )
    for columns in (["time"], ["key_id", "number"], ["subject"]):
        name = "_".join(["credit_entries_workspace_id", *columns, "idx"])
        op.create_index(name, "credit_entries", ["workspace_id", *columns])


def _forbid_changes(table: str, same: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        # INSERT OR REPLACE deletes without asking the trigger of DELETE. Who names no rowid has -1.
        exists = f"WHEN EXISTS ({same}) "
        for event, when in {"UPDATE": "", "DELETE": "", "INSERT": exists}.items():
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} {when}"
                f"BEGIN SELECT RAISE(ABORT, '{NEVER}'); END"
            )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION {table}_stay() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{NEVER}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_stay()"
    )
