"""The books, opened through SQL."""

from __future__ import annotations

from keyauthority.storage.sql.audit import SqlAuditLog
from keyauthority.storage.sql.callers import SqlCallers
from keyauthority.storage.sql.feed import SqlFeed
from keyauthority.storage.sql.keys import SqlKeys
from keyauthority.storage.sql.last_used import SqlLastUses
from keyauthority.storage.sql.leases import SqlLeases
from keyauthority.storage.sql.peppers import SqlPeppers
from keyauthority.storage.sql.replays import SqlReplays
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sql.workspaces import SqlWorkspaces


class SqlTransaction:
    """`Transaction` over the statements of one."""

    def __init__(self, statements: Statements) -> None:
        self.time = statements.time
        self.keys = SqlKeys(statements)
        self.workspaces = SqlWorkspaces(statements)
        self.callers = SqlCallers(statements)
        self.feed = SqlFeed(statements)
        self.leases = SqlLeases(statements)
        self.audit = SqlAuditLog(statements)
        self.peppers = SqlPeppers(statements)
        self.replays = SqlReplays(statements)
        self.last_used = SqlLastUses(statements)
