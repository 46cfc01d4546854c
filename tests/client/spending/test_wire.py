"""Charges are encoded by hand, and are what the contract's messages are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.client.spending.messages import charges_message
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.wire import in_request, varint
from keyauthority.v1 import spending_service_pb2 as v1
from tests.client.spending.parts import CHARGE

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NUMBERS = st.integers(0, 2**63 - 1) | st.integers(0, 300)
CHARGES = st.builds(
    SpooledCharge,
    reference=TEXTS,
    cost=NUMBERS,
    parts=st.dictionaries(st.tuples(TEXTS, NUMBERS), NUMBERS, max_size=4),
    workspace_id=TEXTS,
    key_id=TEXTS,
    model=TEXTS,
    path=TEXTS,
    request_id=TEXTS,
    price_id=TEXTS,
    counts=st.dictionaries(TEXTS, NUMBERS, max_size=4),
    estimated=st.booleans(),
    status=st.integers(-(2**31), 2**31 - 1) | st.just(200),
)


def message(charge: SpooledCharge) -> v1.Charge:
    """What the generated code makes of *charge*."""
    return v1.Charge(
        reference=charge.reference,
        workspace_id=charge.workspace_id,
        cost_nano_credits=charge.cost,
        holds=[
            v1.HoldPart(session_id=session_id, number=number, nano_credits=amount)
            for (session_id, number), amount in charge.parts.items()
        ],
        key_id=charge.key_id,
        model=charge.model,
        path=charge.path,
        request_id=charge.request_id,
        counts=charge.counts,
        price_id=charge.price_id,
        estimated=charge.estimated,
        status=charge.status,
    )


@given(st.lists(CHARGES, max_size=3), st.lists(TEXTS, max_size=2))
def test_charges_are_what_the_generated_code_makes_of_them(
    charges: list[SpooledCharge], closed: list[str]
) -> None:
    """Beside the closings of the same call."""
    encoded = charges_message(charges, [("ws_1", session, 7) for session in closed])
    assert v1.SettleRequest.FromString(encoded.content) == v1.SettleRequest(
        charges=map(message, charges),
        closings=[
            v1.SliceClosing(workspace_id="ws_1", session_id=session, number=7) for session in closed
        ],
    )
    assert (encoded.charges, encoded.slices) == (len(charges), 0)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers(number: int) -> None:
    """Also those that no charge should have: the authority has to refuse them."""
    expected = v1.Charge(cost_nano_credits=number or 1).SerializeToString()
    assert expected == b"\x18" + varint(number or 1).encode("latin-1")


def test_a_number_that_is_too_large() -> None:
    """Nothing else is sent in its place."""
    with pytest.raises(ValueError, match="more than 64 bits"):
        varint(2**63)


def test_a_text_that_is_none() -> None:
    """It stands in no message, and is no other text."""
    with pytest.raises(UnicodeEncodeError):
        in_request([replace(CHARGE, model="\ud800")])
