"""Lease arithmetic."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyauthority.coherence.leases import RATE_ERROR, SLACK, wait_out
from keyauthority.storage.sql.leases import GRANT
from tests.coherence.grant_rows import GrantRow

RATES = st.floats(1 - RATE_ERROR, 1 + RATE_ERROR)
LEASES = st.integers(1, 3_600_000).map(lambda ms: timedelta(milliseconds=ms))


@given(lease=LEASES, verifier=RATES, waiter=RATES)
def test_w_outlasts_a_lease_whatever_the_rates(
    lease: timedelta, verifier: float, waiter: float
) -> None:
    """By any clock within 5 % of true time W is over only after L is over by any other such clock."""
    lease_ends = lease.total_seconds() / verifier
    wait_ends = wait_out(lease) / waiter
    assert wait_ends > lease_ends


@given(lease=LEASES)
def test_w_is_no_longer_than_rates_explain(lease: timedelta) -> None:
    """Between the slowest clock and the fastest, W is over at the end of the lease, but for the slack."""
    lease_ends = lease.total_seconds() / (1 - RATE_ERROR)
    assert wait_out(lease) / (1 + RATE_ERROR) - lease_ends <= SLACK


def test_w_of_the_default_lease() -> None:
    """Three seconds are waited out in 3.37."""
    assert round(wait_out(timedelta(seconds=3)), 2) == 3.37


def test_the_models_rows_have_the_columns_that_are_read() -> None:
    """Else the model proves something of rows that no database gives."""
    assert set(GrantRow.__slots__) == set(GRANT.selected_columns.keys())
