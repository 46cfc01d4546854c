"""Records are put together from texts, and are what a JSON encoder writes of their lists."""

from __future__ import annotations

import json

from keyauthority.client.spending import records
from keyauthority.client.spending.frames import payload_of
from keyauthority.client.spending.records import Charged, SpooledCharge


def test_records_are_json_lists() -> None:
    """Whatever text a client chose, and however large a number is."""
    model = 'gpt-5 é \n \x7f \u2028 \ud800 "\\'
    parts = {("session_1", 1): 2**70, ("session_2", 7): 1}
    counts = {"input": 1, "output": 2}
    fields = ("key_1", model, "/v1", "req \r", "price_1")
    charge = SpooledCharge(
        "ref", "ws_1", 1, parts, *fields[:4], counts, fields[4], estimated=True, status=200
    )
    row = ["ref", "ws_1", [["session_1", 1, 2**70], ["session_2", 7, 1]], *fields]

    written = records.charged(5, charge)
    expected = ["charge", 5, *row, 1, counts, True, 200]
    assert payload_of(written).decode() == json.dumps(expected, separators=(",", ":"))
    assert records.decoded(payload_of(written)) == Charged(5, charge)
    assert written.removeprefix(b"\n").isascii()
    assert b"\n" not in written[1:]

    written = records.held(5, "ref", "ws_1", parts, *fields)
    assert payload_of(written).decode() == json.dumps(["hold", 5, *row], separators=(",", ":"))
