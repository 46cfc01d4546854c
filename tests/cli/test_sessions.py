"""Who holds leases, from the command line."""

from __future__ import annotations

from pathlib import Path

import grpc

from keyauthority.client import bearer_metadata, load_token
from keyauthority.v1.verification_service_pb2 import LeaveRequest, SyncRequest
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from tests.cli.parts import Cli, serving


def test_verifiers_are_listed_until_they_leave(tmp_path: Path) -> None:
    """By caller and name, since when, acknowledged up to where; and the terms that they hold by."""
    with serving(tmp_path / "data") as cli, grpc.insecure_channel(cli.address) as channel:
        key_id, _ = cli.issue()
        cli.text("keys", "update", key_id, "--name", "new")
        token = bearer_metadata(load_token(tmp_path / "data" / "root.token"))
        stub = VerificationServiceStub(channel)
        granted = stub.Sync(SyncRequest(name="edge 7"), timeout=20, metadata=token)

        said = cli("sessions", "list")
        listed = cli.json("sessions", "list")
        stub.Leave(LeaveRequest(session_id=granted.session_id), timeout=20, metadata=token)
        left = cli.json("sessions", "list")

    heading, own, verifier = said.stdout.splitlines()
    assert heading.split() == [
        "ID",
        "CALLER",
        "NAME",
        "SINCE",
        "LAST",
        "SYNC",
        "ACKNOWLEDGED",
        "LEASE",
        "LATE",
        "STATE",
    ]
    assert "(the authority)" in own
    assert own.endswith("1 of 1        3 s")
    assert verifier.startswith(granted.session_id)
    assert "root" in verifier
    assert "edge 7" in verifier
    assert " ago" in verifier
    assert verifier.split()[-5:] == ["of", "1", "3", "s", "slow"]
    assert said.stderr == "Leases last 3 s; a change waits for a verifier 3.37 s at most.\n"
    assert (listed["epoch"], listed["revision"]) == ("1", "1")
    assert (listed["lease"], listed["longest_wait"]) == ("3s", "3.365789s")
    assert [one.get("name") for one in listed["sessions"]][1:] == ["edge 7"]
    assert [one["revision"] for one in listed["sessions"]] == ["1", "0"]
    assert [one["lease"] for one in listed["sessions"]] == ["3s", "3s"]
    assert len(left["sessions"]) == 1


def test_the_list_is_for_admins(cli: Cli) -> None:
    """Whoever may not see it is told which role it takes."""
    token = cli.json("callers", "create", "onlooker", "--role", "verifier")["token"]
    file = cli.data_dir / "onlooker.token"
    file.write_text(token)
    file.chmod(0o600)
    assert "admin" in cli.refusal("--token-file", str(file), "sessions", "list")
