"""How answers look."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyauthority.cli.output import details, spread, table
from keyauthority.client.admin import Receipt


def test_columns_line_up_whatever_the_script() -> None:
    """Hangul takes two places a letter, and the next column starts where it starts elsewhere."""
    assert table(("ID", "NAME", "X"), [("1", "열쇠", "a"), ("22", "key", "b")]) == (
        "ID  NAME  X\n1   열쇠  a\n22  key   b"
    )


def test_nothing_reaches_the_terminal_s_controls() -> None:
    """A value with escape sequences or line breaks stays one harmless line."""
    assert table(("A",), [("\x1b[31mred\n\r",)]) == "A\n\ufffd[31mred\ufffd\ufffd"
    assert details([("note", "one\ntwo")]) == "note:  one\ufffdtwo"


@pytest.mark.parametrize(
    ("receipt", "sentence"),
    [
        (Receipt(revision=7), "In force everywhere as of revision 7."),
        (
            Receipt(revision=7, sessions_acknowledged=1, waited=timedelta(milliseconds=3)),
            "In force everywhere as of revision 7: confirmed by 1 verifier, 3 ms.",
        ),
        (
            Receipt(
                revision=7,
                sessions_acknowledged=2,
                leases_waited_out=1,
                waited=timedelta(seconds=3.38),
            ),
            (
                "In force everywhere as of revision 7: "
                "confirmed by 2 verifiers, 1 lease waited out, 3380 ms."
            ),
        ),
    ],
)
def test_a_receipt_is_one_sentence(receipt: Receipt, sentence: str) -> None:
    """It says what was waited for, and nothing of what there was nothing of."""
    assert spread(receipt) == sentence
