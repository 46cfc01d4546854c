"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Creates everything."""
    _create_feed()
    _create_workspaces()
    _create_keys()
    _create_secrets()
    _create_callers()
    _create_audit()
    _create_peppers()
    _create_replays()


def _create_feed() -> None:
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("head_one_row_check")),
        sa.PrimaryKeyConstraint("id", name="head_pkey"),
    )
    op.bulk_insert(head, [{"id": 1, "epoch": 1, "revision": 0}])
    op.create_table(
        "change",
        sa.Column("revision", NUMBER, nullable=False, autoincrement=False),
        sa.Column("subject", STRING, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="change_pkey"),
    )


def _create_workspaces() -> None:
    op.create_table(
        "workspaces",
        sa.Column("id", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="workspaces_pkey"),
    )
    op.create_index("workspaces_create_time_id_idx", "workspaces", ["create_time", "id"])


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("revoke_time", sa.BigInteger),
        sa.Column("revoke_reason", sa.Integer),
        sa.Column("revoke_note", STRING),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="keys_pkey"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], "keys_workspace_id_fkey"),
    )
    by_workspace = ["workspace_id", "create_time", "id"]
    op.create_index("keys_workspace_id_create_time_id_idx", "keys", by_workspace)
    op.create_index("keys_create_time_id_idx", "keys", ["create_time", "id"])


def _create_secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("key_id", STRING, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("pepper_version", sa.Integer, nullable=False),
        sa.Column("hint", STRING, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("end_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="secrets_pkey"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], "secrets_key_id_fkey"),
        sa.UniqueConstraint("key_id", "digest", name="secrets_key_id_digest_key"),
    )


def _create_callers() -> None:
    op.create_table(
        "callers",
        sa.Column("id", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("roles", sa.Integer, nullable=False),
        sa.Column("workspace_ids", sa.Text, nullable=False),
        sa.Column("certificate_name", STRING, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("pepper_version", sa.Integer, nullable=False),
        sa.Column("token_hint", STRING, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("revoke_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="callers_pkey"),
    )
    op.create_index("callers_create_time_id_idx", "callers", ["create_time", "id"])
    _unique_in_force("name", "revoke_time IS NULL")
    _unique_in_force("certificate_name", "revoke_time IS NULL AND certificate_name != ''")


def _unique_in_force(column: str, condition: str) -> None:
    op.create_index(
        f"callers_{column}_in_force_key",
        "callers",
        [column],
        unique=True,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("caller_id", STRING, nullable=False),
        sa.Column("caller_name", STRING, nullable=False),
        sa.Column("action", STRING, nullable=False),
        sa.Column("subject", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("refused", sa.Boolean, nullable=False),
        sa.Column("source", STRING, nullable=False),
        sa.Column("request_id", STRING, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_subject_id_idx", "audit", ["subject", "id"])
    op.create_index("audit_workspace_id_id_idx", "audit", ["workspace_id", "id"])
    op.create_index("audit_caller_id_id_idx", "audit", ["caller_id", "id"])
    op.create_index("audit_time_idx", "audit", ["time"])


def _create_peppers() -> None:
    op.create_table(
        "peppers",
        sa.Column("version", NUMBER, nullable=False, autoincrement=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("version", name="peppers_pkey"),
    )


def _create_replays() -> None:
    op.create_table(
        "replays",
        sa.Column("caller_id", STRING, nullable=False),
        sa.Column("request_id", STRING, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("caller_id", "request_id", name="replays_pkey"),
    )
    op.create_index("replays_expire_time_idx", "replays", ["expire_time"])
