"""Records are put together from texts, and are what a JSON encoder writes of their lists."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from keyauthority.client.spending import records
from keyauthority.client.spending.frames import HEAD
from keyauthority.client.spending.records import Charged, Held, SpooledCharge


def test_records_are_json_lists() -> None:
    """Whatever text a client chose, and however large a number is."""
    model = 'gpt-5 é \n \x7f \u2028 \ud800 "\\'
    parts = {("session_1", 1): 2**70, ("session_2", 7): 1}
    counts = {"input": 1, "output": 2}
    texts = ("key_1", model, "/v1", "req \r", "price_1")
    charge = SpooledCharge("ref", 1, parts, "ws_1", *texts, counts, estimated=True, status=200)
    row = ["ref", "ws_1", [["session_1", 1, 2**70], ["session_2", 7, 1]], *texts]

    fields = records.fields(charge)
    written = records.charged(5, fields, charge)
    expected = ["charge", 5, *row, 1, counts, True, 200]
    assert payload_of(written).decode() == json.dumps(expected, separators=(",", ":"))
    assert records.decoded(payload_of(written)) == Charged(5, charge)
    assert written.removeprefix(b"\n").isascii()
    assert b"\n" not in written[1:]

    hold = records.held(5, fields)
    assert payload_of(hold).decode() == json.dumps(["hold", 5, *row], separators=(",", ":"))

    charge.parts = {("session_3", 2): 9, **parts}
    assert records.extended(fields, charge.parts) == records.fields(charge)
    held = replace(charge, counts={}, status=0, cost=sum(charge.parts.values()))
    assert records.decoded(payload_of(records.held(5, records.fields(charge)))) == Held(5, held)


@pytest.mark.parametrize("references", [["a1", "b2"], ["a"], ["a", 'b","c'], ["é", "b\n"], [""]])
def test_confirmations_are_json_lists(references: list[str]) -> None:
    """Whatever the references are."""
    expected = json.dumps(["confirmed", 3, *references], separators=(",", ":"))
    assert payload_of(records.confirmed(3, references)).decode() == expected


def payload_of(frame: bytes) -> bytes:
    """The record in a frame."""
    return frame[HEAD:]
