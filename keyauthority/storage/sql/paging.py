"""Pages, newest first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, literal, tuple_

from keyauthority.base.relational.columns import Moment
from keyauthority.domain.ports import Cursor


def page(query: Select[Any], table: Table, limit: int, after: Cursor | None) -> Select[Any]:
    """Up to *limit* rows of *query*, by create time and id downwards, after *after*."""
    if after is not None:
        time, record_id = after
        end = tuple_(literal(time, Moment), literal(record_id))
        query = query.where(tuple_(table.c.create_time, table.c.id) < end)
    return query.order_by(table.c.create_time.desc(), table.c.id.desc()).limit(limit)
