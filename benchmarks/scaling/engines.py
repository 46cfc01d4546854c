"""What the books need of a database beyond plain SQL, and which other engine's documents promise it.

The answers are read in the engines' documents of 2026, not tried: none of them could be run. `statements` looks
for each construct in what the books send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Construct:
    """Something that statements have: a regular expression finds it. The rest is what engines do with it."""

    name: str
    pattern: str
    cockroach: str
    yugabyte: str
    citus: str


_YES: Final = "yes"
_SHARD: Final = "within a shard"
_LOCAL: Final = "yes, on the coordinator"

CONSTRUCTS: Final = (
    Construct(
        "one row that every change updates, `RETURNING` the revision", r"UPDATE head SET",
        "yes; the row is one range's, a consensus round per commit",
        "yes; the row is one tablet's, a consensus round per commit", "local or reference table: one node's",
    ),
    Construct("`FOR NO KEY UPDATE`", r"FOR NO KEY UPDATE", "as `FOR UPDATE`", _YES, _SHARD),
    Construct("`FOR SHARE`, `FOR UPDATE`, `SKIP LOCKED`", r"FOR (SHARE|UPDATE)", "yes, under `READ COMMITTED`", _YES, _SHARD),
    Construct(
        "`pg_advisory_xact_lock`", r"pg_advisory_xact_lock",
        "**no**: missing, or does nothing", "yes, from 2025", "the node's own only",
    ),
    Construct("`pg_notify`, `LISTEN`", r"pg_notify|LISTEN", "**no**", "early access, from 2025.2", "the node's own only"),
    Construct(
        "`BEGIN ISOLATION LEVEL READ COMMITTED`", r"READ COMMITTED",
        "yes, from 24.1", "yes, once switched on", "yes, by node: no snapshot over several",
    ),
    Construct(
        "`REPEATABLE READ`: one snapshot for several statements", r"REPEATABLE READ",
        "yes, as serializable", "yes", "**no**, over several nodes",
    ),
    Construct("data-changing `WITH … RETURNING`", r"WITH .*(INSERT|UPDATE|DELETE) .*RETURNING", _YES, _YES, _SHARD),
    Construct("`ON CONFLICT`", r"ON CONFLICT", _YES, _YES, "yes, with the distribution column in the key"),
    Construct("`unnest` of several arrays", r"unnest\(", _YES, _YES, _SHARD),
    Construct("`json_to_record`", r"json_to_record", "not found in its documents", _YES, _SHARD),
    Construct("sequences (`nextval`, `bigserial`)", r"nextval|SERIAL", "yes; each a write of its own, unless cached", "yes; cached", _LOCAL),
    Construct(
        "triggers for each statement, `TRUNCATE` too", r"CREATE TRIGGER",
        "**no**: for each row only, from 24.3", _YES, "**no**, on distributed tables",
    ),
    Construct("functions in PL/pgSQL", r"plpgsql", _YES, _YES, _YES),
    Construct("foreign keys", r"REFERENCES", _YES, _YES, "with the distribution column in both"),
    Construct(
        "unique over all rows (key ids, digests, references)", r"UNIQUE|PRIMARY KEY",
        _YES, _YES, "**no**, unless the distribution column is in it",
    ),
    Construct("partial indexes", r"CREATE (UNIQUE )?INDEX .* WHERE", _YES, _YES, _YES),
    Construct(
        "the place in the write-ahead log (which primary is the newest)", r"pg_walfile_name|pg_control_system",
        "**no**: there is no such log", "**no**: there is no such log", "yes, of the coordinator",
    ),
    Construct(
        "settings of the session, set and read back", r"set_config|current_setting",
        "some of ours are unknown there", "yes", "yes, on the coordinator",
    ),
)  # fmt: skip

FUNCTIONS: Final = frozenset({
    # Of SQL, and in all of these engines.
    "array_agg", "concat", "string_agg", "coalesce", "count", "extract", "greatest", "left", "lower", "max", "min", "now", "sum",
    # Above, each with its answer.
    "current_setting", "json_to_record", "nextval", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_control_system", "pg_current_wal_lsn", "pg_notify",
    "pg_walfile_name", "set_config", "unnest",
    # PostgreSQL's own; what imitates it has them too.
    "current_schema", "generate_series", "pg_backend_pid", "pg_is_in_recovery",
    "statement_timestamp", "to_regclass",
    # Ours, of the triggers.
    "credit_prices_stay", "x_stay",
})  # fmt: skip
"""The functions that the books' statements call."""

NO_FUNCTIONS: Final = frozenset({"anon_1", "bit", "cast", "key", "s"})
"""Words of SQL, types and names of rows that a parenthesis follows."""
