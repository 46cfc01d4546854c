"""Prices: rows that are never changed; and the index that finds the refunds of a time."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
# Older versions know nothing of prices, and touch no table of them.
usable_from = "0007"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NEVER = "prices are never changed or deleted"
SAME = (
    "SELECT 1 FROM credit_prices WHERE rowid = NEW.rowid OR id = NEW.id OR model = NEW.model "
    "AND path = NEW.path AND effective_time = NEW.effective_time"
)


def upgrade() -> None:
    """Adds a table, with triggers that forbid changing or deleting its rows, and an index."""
    op.create_table(
        "credit_prices",
        *(sa.Column(name, STRING, nullable=False) for name in ("id", "model", "path")),
        sa.Column("effective_time", sa.BigInteger, nullable=False),
        sa.Column("rates", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="credit_prices_pkey"),
        sa.UniqueConstraint(
            "model", "path", "effective_time", name="credit_prices_model_path_effective_time_key"
        ),
    )
    op.create_index(
        "credit_prices_effective_time_id_idx", "credit_prices", ["effective_time", "id"]
    )
    _forbid_changes()
    refunds = sa.text("kind = 3")
    op.create_index(
        "credit_entries_refunds",
        "credit_entries",
        ["workspace_id", "time"],
        sqlite_where=refunds,
        postgresql_where=refunds,
    )


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # INSERT OR REPLACE deletes without asking the trigger of DELETE. Who names no rowid has -1.
        exists = f"WHEN EXISTS ({SAME}) "
        for event, when in {"UPDATE": "", "DELETE": "", "INSERT": exists}.items():
            op.execute(
                f"CREATE TRIGGER credit_prices_no_{event.lower()} BEFORE {event} ON credit_prices "
                f"{when}BEGIN SELECT RAISE(ABORT, '{NEVER}'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION credit_prices_stay() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{NEVER}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER credit_prices_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_prices "
        "FOR EACH STATEMENT EXECUTE FUNCTION credit_prices_stay()"
    )
