"""The sample pages of credits: plenty and none, long names, markup, debts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, timedelta
from types import SimpleNamespace
from typing import Any

from console import plots
from console.forms import Form
from console.ledger_entries import EntryRow
from console.plots import Spent
from console.spending import Spending
from console.statements import Charges, Statement, month_of, months_until
from keyauthority.client.admin import Account, Entry, EntryKind
from tests.console.sample_data import (
    ACME,
    BESIDE,
    FORM,
    IMAGE,
    INSIDE,
    LONG,
    NOW,
    ROWS,
    SCRIPT,
    WORKSPACE,
    Page,
    ago,
)

CREDIT = 10**9
VIEWER: dict[str, Any] = {"may": frozenset()}
ACCOUNT = Account(1_234_567_890_123, 12_500_000_000)


def row(number: int, kind: str, title: str, amount: int, **other: Any) -> EntryRow:
    entry = EntryRow(
        number=number,
        time=ago(minutes=3 * (90 - number) ** 2),
        kind=kind,
        title=title,
        href=None,
        about=["by mina.park@acme.example"],
        note="",
        estimated=False,
        amount=amount,
        balance=1_234_567_890_123 + number,
        details=[("Entry", str(number)), ("Reference", f"reference-{number}" * 6)],
    )
    return replace(entry, **other)


ENTRIES = [
    row(
        90,
        "charge",
        "billing, production",
        -1_204_500,
        href=WORKSPACE + "/keys/key_1",
        about=["google/gemini-3-flash", "1,204 tokens in, 310 out"],
    ),
    row(89, "charge", LONG, -120, about=[LONG, "2 images"], estimated=True),
    row(88, "refund", "Refund of " + "c" * 40, 1_204_500, note="the answer broke off"),
    row(87, "adjustment", "Adjustment", -2_500_000_000, note=IMAGE),
    row(86, "grant", f"Top-up {SCRIPT}", 1_000_000_000_000, note="Invoice 2026-118"),
    row(85, "expiry", "Credits whose time was over", -7 * CREDIT, about=["by expiry of credits"]),
]


TODAY = NOW.date()
BY_DAY = {
    TODAY - timedelta(days=back): Spent(10**6 * (3_700 + 900 * ((back * 37) % 11)), 40 + back)
    for back in range(30)
    if back % 7 not in (1, 2)
}
SPENDING = Spending(
    plots.by_day(BY_DAY, TODAY),
    plots.by_share({key.id: Spent(10**9 * 3 ** (9 - n), 120) for n, key in enumerate(ROWS)}),
    plots.by_share({LONG: Spent(92_100_000_001, 900), "google/gemini-3-flash": Spent(150_000, 4)}),
    week=41_000_000_000,
)
LITTLE = Spending(
    plots.by_day({TODAY: Spent(1_204, 1)}, TODAY),
    plots.by_share({ROWS[0].id: Spent(1_204, 1)}),
    plots.by_share({"google/gemini-3-flash": Spent(1_204, 1)}),
    week=1_204,
)
NOTHING = Spending(plots.by_day({}, TODAY), plots.by_share({}), plots.by_share({}), week=0)


def overview(**other: Any) -> dict[str, Any]:
    page = {
        "section": "credits",
        "account": ACCOUNT,
        "entries": ENTRIES,
        "spending": SPENDING,
        "lasts": SPENDING.lasts_until(ACCOUNT.balance, NOW),
        "key_names": {key.id: key.name for key in ROWS},
    }
    return INSIDE | page | other


def entries(**other: Any) -> dict[str, Any]:
    page = {
        "section": "credits",
        "form": Form(dict.fromkeys(("kind", "key", "model", "from", "to"), "")),
        "filtered": False,
        "keys": [
            SimpleNamespace(id=key.id, settings=SimpleNamespace(name=key.name)) for key in ROWS
        ],
        "entries": ENTRIES,
        "next_href": "?before=x",
    }
    return INSIDE | page | other


WRONG = Form(
    values={"kind": "charge", "key": "", "model": IMAGE, "from": "2026-11-01", "to": ""},
    errors={"to": "This day is before the “From” day."},
)


def changing(form: Form, **other: Any) -> dict[str, Any]:
    page = {
        "section": "administration",
        "form": form,
        "account": ACCOUNT,
        "unknown": None,
        "id": ACME.id,
        "name": LONG,
        "is_mine": True,
    }
    return BESIDE | page | other


ADDED = Entry(
    workspace_id=ACME.id,
    number=87,
    kind=EntryKind.GRANT,
    amount=1_000 * CREDIT,
    balance=ACCOUNT.balance,
    reference="console-Zx81kQ2mB8sKd1xYz0aB5sT9",
    time=ago(minutes=0),
    note=SCRIPT,
    person_name="mina.park@acme.example",
)
TOP_UP = Form({"amount": "", "purchase_id": ADDED.reference, "note": ""})
TOP_UP_WRONG = Form(
    values={"amount": "1,5", "purchase_id": "order-17", "note": IMAGE},
    errors={"amount": "Write a point before the decimals and no comma: 2.5, or 1250."},
    problem="The key authority doesn’t answer at the moment.",
)
ADJUST = Form({"amount": "-2.5", "reason": SCRIPT, "reference": "adjustment-1"})


def changed(**other: Any) -> dict[str, Any]:
    page = {
        "section": "administration",
        "entry": ADDED,
        "account": ACCOUNT,
        "before": False,
        "receipt": "In force everywhere in 12 ms. 3 verifiers confirmed.",
        "id": ACME.id,
        "name": "Acme",
        "is_mine": True,
    }
    return BESIDE | page | other


STATEMENT = Statement(
    opening=234_567_890_123,
    closing=1_234_567_890_123,
    entries=1_204,
    sums=Counter({EntryKind.GRANT: 1_000 * CREDIT, EntryKind.CHARGE: -1_204_500}),
    others=[],
    by_day={f"2026-11-{day:02}": Charges(day * 1_234_567, 40, day % 3) for day in range(1, 26)},
    by_key={ROWS[0].id: Charges(812_000_001, 900, 3), "key_gone": Charges(120, 4)},
    by_model={LONG: Charges(812_000_121, 904, 3), "": Charges(5)},
)


def statement(**other: Any) -> dict[str, Any]:
    page = {
        "section": "credits",
        "month": month_of("2026-11", UTC, NOW),
        "months": months_until(NOW, UTC, 36),
        "statement": STATEMENT,
        "sums": [(kind.name.lower(), STATEMENT.sums[kind]) for kind in EntryKind],
        "others": ENTRIES[2:],
        "key_names": {ROWS[0].id: SCRIPT},
        "made": NOW,
        "most": 50_000,
    }
    return INSIDE | page | other


EMPTY: dict[str, Any] = {
    "account": Account(0),
    "entries": [],
    "spending": NOTHING,
    "lasts": None,
}

CREDITS: list[Page] = [
    Page("credits", "credits.html", overview()),
    Page("credits_viewer", "credits.html", overview(**VIEWER)),
    Page(
        "credits_debt",
        "credits.html",
        overview(account=Account(-1_500_000_001, CREDIT), spending=None, lasts=None),
    ),
    Page("credits_little", "credits.html", overview(spending=LITTLE, lasts=None)),
    Page("credits_unspent", "credits.html", overview(spending=NOTHING, lasts=None)),
    Page("credits_none", "credits.html", overview(**EMPTY)),
    Page("credits_none_viewer", "credits.html", overview(**EMPTY, **VIEWER)),
    Page(
        "credits_role_missing",
        "credits_unknown.html",
        INSIDE | {"section": "credits", "role_missing": True},
    ),
    Page(
        "credits_older",
        "credits_unknown.html",
        INSIDE | {"section": "credits", "role_missing": False},
    ),
    Page("credits_entries", "credits_entries.html", entries()),
    Page("credits_entries_none", "credits_entries.html", entries(entries=[], next_href=None)),
    Page(
        "credits_entries_no_match",
        "credits_entries.html",
        entries(entries=[], next_href=None, filtered=True, **VIEWER),
    ),
    Page(
        "credits_entries_wrong",
        "credits_entries.html",
        entries(entries=[], next_href=None, form=WRONG),
    ),
    Page("credits_statement", "credits_statement.html", statement()),
    Page(
        "credits_statement_empty",
        "credits_statement.html",
        statement(statement=Statement(), sums=[("grant", 0)], others=[]),
    ),
    Page("credits_statement_long", "credits_statement.html", statement(statement=None, others=[])),
    Page("credits_top_up", "credits_top_up.html", changing(TOP_UP)),
    Page("credits_top_up_wrong", "credits_top_up.html", changing(TOP_UP_WRONG, account=None)),
    Page(
        "credits_top_up_role_missing",
        "credits_top_up.html",
        changing(FORM, account=None, unknown=SimpleNamespace(role_missing=True), is_mine=False),
    ),
    Page("credits_adjust", "credits_adjust.html", changing(ADJUST)),
    Page("credits_added", "credits_changed.html", changed()),
    Page("credits_added_before", "credits_changed.html", changed(before=True, is_mine=False)),
    Page(
        "credits_spreading",
        "credits_changed.html",
        changed(entry=None, account=None, receipt="In force everywhere within 3.38 s."),
    ),
]
