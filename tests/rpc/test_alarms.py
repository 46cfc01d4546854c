"""Records that were altered past the authority: refused as an outage, counted, and told now and then."""

from __future__ import annotations

from pathlib import Path

import grpc
import structlog
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Role
from keyauthority.v1.workspace_service_pb2 import ListWorkspacesRequest
from tests.rpc.parts import Authority, refusal
from tests.storage.parts import run_sql


async def test_a_caller_altered_in_the_database(
    authority: Authority, registry: CollectorRegistry
) -> None:
    """Its token is no longer accepted, and isn't said to be wrong; the operator is told once."""
    caller = await authority.caller(Role.VERIFIER)
    database = authority.settings.database
    assert isinstance(database, Path)
    run_sql(database, "UPDATE callers SET roles = 7 WHERE name != 'root'")

    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            refused = await refusal(caller(ListWorkspacesRequest()))
            assert refused.code is grpc.StatusCode.UNAVAILABLE
            assert refused.reason == "KEYRING_MISMATCH"

    assert registry.get_sample_value("keyauthority_keyring_mismatches_total") == 3
    [told] = [log for log in logs if log["event"] == "keyring_mismatch"]
    assert told["log_level"] == "error"
    assert told["caller_id"].startswith("caller_")
