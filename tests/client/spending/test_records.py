"""Records are written the same with and without Python's encoder in C."""

from __future__ import annotations

import pytest

from keyauthority.client.spending import records
from keyauthority.client.spending.records import SpooledCharge


def test_records_are_the_same_without_the_encoder_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever text a client chose, and however large a number is."""
    model = 'gpt-5 é \n \x7f \u2028 \ud800 "\\'
    parts = {("session_1", 1): 2**70}
    counts = {"input": 1}
    charge = SpooledCharge(
        "ref", "ws_1", 1, parts, "key_1", model, "/v1", "req", counts, "", True, 200
    )
    written = records.charged(1, charge)

    monkeypatch.setattr(records, "_in_c", None)
    assert records.charged(1, charge) == written
    assert written.removeprefix(b"\n").isascii()
    assert b"\n" not in written[1:]
