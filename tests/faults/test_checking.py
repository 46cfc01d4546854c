"""The checker of histories, on histories made by hand."""

from __future__ import annotations

import pytest

from tests.faults.checking import Work, violations, work
from tests.faults.history import (
    FRESH,
    Ask,
    Change,
    History,
    Hits,
    Kind,
    Minted,
    Outcome,
    Record,
)

W = 2.0
KEY = Minted(1, "key_1", "ws_1", at=0.0)
REVOKED = Change(Kind.REVOKE, "key_1", 10.0, 12.0, 12.0)
UNHEARD = Change(Kind.REVOKE, "key_1", 10.0, None)
SPREADING = Change(Kind.REVOKE, "key_1", 10.0, None, made=11.0)
SUSPENDED = Change(Kind.SUSPEND, "ws_1", 10.0, 12.0, 12.0)
RESUMED = Change(Kind.RESUME, "ws_1", 20.0, 22.0, 22.0)


def ask(
    outcome: Outcome, invoked: float, returned: float | None = None, place: str = "gateway 1"
) -> Ask:
    return Ask(place, 1, invoked, invoked + 0.5 if returned is None else returned, outcome)


def accepted(invoked: float, returned: float | None = None, place: str = "gateway 1") -> Ask:
    return ask(Outcome.ACCEPTED, invoked, returned, place)


def refused(invoked: float, returned: float | None = None, place: str = "gateway 1") -> Ask:
    return ask(Outcome.REFUSED, invoked, returned, place)


def suspended(invoked: float, returned: float | None = None) -> Ask:
    return ask(Outcome.SUSPENDED, invoked, returned)


def broken(*records: Record) -> set[int]:
    return {violation.promise for violation in violations(History.of([KEY, *records]), W)}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([accepted(1), REVOKED, refused(13)], id="a life"),
        pytest.param([REVOKED, accepted(11.9, 14.0)], id="asked before it returned"),
        pytest.param([REVOKED, accepted(11, place="gateway 2"), refused(10.1)], id="in between"),
        pytest.param([UNHEARD, accepted(99)], id="never made, as far as is known"),
        pytest.param([UNHEARD, refused(20, 21), accepted(22.5, place="gateway 2")], id="within W"),
        pytest.param([SPREADING, accepted(12.9)], id="spreading, within W"),
        pytest.param([ask(Outcome.NO_VERDICT, 1), ask(Outcome.UNKNOWN, 2)], id="outages"),
        pytest.param([SUSPENDED, suspended(13), RESUMED, accepted(23)], id="suspended, resumed"),
        pytest.param([SUSPENDED, RESUMED, accepted(21), suspended(21)], id="while resumed, either"),
        pytest.param([SUSPENDED, RESUMED, accepted(19.9, 20.1)], id="answered while resumed"),
        pytest.param(
            [Change(Kind.SUSPEND, "ws_1", 10, None), RESUMED, suspended(30)],
            id="a suspension that may come late",
        ),
        pytest.param(
            [Change(Kind.RESUME, "ws_1", 5, None), SUSPENDED, accepted(15)],
            id="a resume that may come late",
        ),
        pytest.param(
            [Change(Kind.RETIRE, "2", 10, 12, 12), Change(Kind.REVOKE, "key_2", 1, 2), accepted(9)],
            id="other keys and secrets",
        ),
    ],
)
def test_good_histories(records: list[Record]) -> None:
    """What the promises allow is no violation."""
    assert broken(*records) == set()


@pytest.mark.parametrize(
    ("promise", "records"),
    [
        pytest.param(1, [REVOKED, accepted(12.1)], id="accepted after it returned"),
        pytest.param(1, [accepted(12.1), REVOKED], id="in whatever order they were written"),
        pytest.param(
            1, [REVOKED, Ask("g", 1, 12.1, None, Outcome.ACCEPTED)], id="reached, unheard"
        ),
        pytest.param(1, [Change(Kind.RETIRE, "1", 10, 12, 12), accepted(12.1)], id="retired"),
        pytest.param(1, [SUSPENDED, accepted(12.1)], id="accepted while suspended"),
        pytest.param(1, [SUSPENDED, RESUMED, accepted(15, 19.9)], id="answered before the resume"),
        pytest.param(
            1,
            [Change(Kind.RESUME, "ws_1", 1, 2), SUSPENDED, accepted(15)],
            id="an older resume is no excuse",
        ),
        pytest.param(2, [refused(1)], id="refused, never revoked"),
        pytest.param(2, [REVOKED, refused(8, 9.9)], id="refused before anybody tried"),
        pytest.param(2, [suspended(1)], id="suspended, never"),
        pytest.param(2, [SUSPENDED, RESUMED, suspended(22.1)], id="suspended after the resume"),
        pytest.param(2, [ask(Outcome.UNEXPECTED, 1)], id="an answer that nothing explains"),
        pytest.param(3, [SPREADING, accepted(13.1)], id="spreading, beyond W"),
        pytest.param(
            3,
            [UNHEARD, refused(20, 21), accepted(23.1, place="gateway 2")],
            id="unheard but refused elsewhere, beyond W",
        ),
        pytest.param(4, [UNHEARD, refused(20, 21), accepted(21.1)], id="accepted again"),
        pytest.param(
            5,
            [UNHEARD, refused(20, 21, FRESH), accepted(21.1, place=FRESH)],
            id="fresh: alive after it was over",
        ),
        pytest.param(5, [REVOKED, accepted(12.1, place=FRESH)], id="fresh: alive after the call"),
    ],
)
def test_bad_histories(promise: int, records: list[Record]) -> None:
    """Every promise has histories that break it, and they are found."""
    assert promise in broken(*records)


def test_work_is_counted() -> None:
    """Restarted counters begin anew, outages are no verdicts, and late is ten leases after the end."""
    done = work(
        History.of(
            [
                KEY,
                REVOKED,
                UNHEARD,
                accepted(1),
                refused(17.0),
                refused(17.1),
                ask(Outcome.NO_VERDICT, 30),
                Hits("gateway 1", 5),
                Hits("gateway 1", 7),
                Hits("gateway 1", 2),
            ]
        ),
        lease=0.5,
    )

    assert done == Work(asks=3, hits=9, revocations=1, late=1)
    assert done.lacks(Work(asks=3, hits=10, revocations=1, late=2)) == [
        "9 hits of 10",
        "1 late of 2",
    ]
