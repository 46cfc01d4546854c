"""Charges from a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.parts import Cli


class Upstream:
    """Writes what it metered for a key."""

    def __init__(self, cli: Cli, file: Path) -> None:
        self.cli = cli
        self.file = file
        self.workspace = cli.workspace()
        self.key_id, _ = cli.issue("--workspace", self.workspace)

    def charge(self, reference: str, **fields: Any) -> dict[str, Any]:
        named = {"workspace_id": self.workspace, "key_id": self.key_id, "model": "recorded"}
        return {"reference": reference, **named, **fields}

    def write(self, *charges: dict[str, Any]) -> tuple[str, ...]:
        """The command for a file with these."""
        self.file.write_text("\n".join(json.dumps(one) for one in charges) + "\n\n")
        return "ledger", "record", str(self.file)


@pytest.fixture
def upstream(cli: Cli, tmp_path: Path) -> Upstream:
    return Upstream(cli, tmp_path / "charges.jsonl")


def test_charges_are_recorded_once(cli: Cli, upstream: Upstream) -> None:
    """By cost or by counts, now or late; 500 at a time, and harmless to repeat."""
    cli.text("prices", "set", "--model", "recorded", "--input", "2", "--output", "0")
    time = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    command = upstream.write(
        *(upstream.charge(f"r{number}", cost="0.001") for number in range(600)),
        upstream.charge("counted", counts={"input": 1_000, "output": 7}, status=200, path="/v1/x"),
        upstream.charge("late", cost=0.5, time=time, request_id="요청"),
    )

    assert cli.text(*command).startswith("Entered 602 charges of 1.102 credits; 0 were known. In ")
    again = cli.json(*command)

    assert again == {"states": {"known": 602}, "cost": "0", "not_entered": []}
    entries = ("ledger", "entries", "--workspace", upstream.workspace, "--reference")
    [late] = cli.json(*entries, "late")["entries"]
    assert datetime.fromisoformat(late["time"]) == datetime.fromisoformat(time)
    assert (late["amount_nano_credits"], late["use"]["request_id"]) == ("-500000000", "요청")
    [counted] = cli.json(*entries, "counted")["entries"]
    assert counted["amount_nano_credits"] == "-2000000"


def test_what_was_not_entered_is_named(cli: Cli, upstream: Upstream) -> None:
    """And keeps no other from being entered."""
    command = upstream.write(
        upstream.charge("good", cost="1"),
        upstream.charge("stranger", cost="1", key_id="key_x"),
        upstream.charge("unpriced", model="nothing", counts={}),
        upstream.charge("good", cost="2"),
    )

    result = cli(*command)

    assert result.exit_code == 1
    first, *lines = result.stdout.splitlines()
    assert first.startswith("Entered 1 charge of 1 credits; 0 were known. In force everywhere")
    assert lines == [
        "3 charges not entered:",
        "line 2: stranger: unknown_key",
        "line 3: unpriced: unpriced",
        "line 4: good: reference_reused",
    ]
    document = cli.json(*command, exit_code=1)
    assert document["states"] == {
        "known": 1,
        "unknown_key": 1,
        "unpriced": 1,
        "reference_reused": 1,
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x", "line 1: "),
        ("[]", "line 1: it is no JSON object"),
        ('{"price": 1}', "no field is called 'price'"),
        ('{"cost": "1e3"}', "is no decimal number of credits"),
        ('{"model": 5.5, "cost": 1, "path": []}', "path is no text"),
        ('{"counts": [1]}', "counts is no object"),
        ('{"counts": {"input": 1.5}}', "counts.input is no whole number"),
        ('{"counts": {"input": 9223372036854775808}}', "counts.input is no whole number"),
        ('{"status": 1000}', "status is no whole number from 0 to 999"),
        ('{"time": "yesterday"}', "must be a time"),
        ("", "there is no charge to record"),
    ],
)
def test_what_is_no_charge(cli: Cli, upstream: Upstream, line: str, why: str) -> None:
    """It is named before anything is sent."""
    upstream.file.write_text(line)
    assert why in cli.refusal("ledger", "record", str(upstream.file))
