"""`keyauthority ledger record`: charges of an upstream that meters itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any, Final

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, count, spread
from keyauthority.cli.terminal import counted
from keyauthority.cli.values import is_text, parse_moment
from keyauthority.client.admin import ChargeToRecord, Recorded, RecordedState, ledger
from keyauthority.pricing.amounts import parse, write

_AT_ONCE: Final = 500
_TEXTS: Final = ("reference", "workspace_id", "key_id", "model", "path", "request_id")
_NAMES: Final = frozenset((*_TEXTS, "cost", "counts", "status", "time"))
_ENTERED: Final = (RecordedState.ENTERED, RecordedState.KNOWN)
_LARGEST: Final = 2**63 - 1
_STATUS: Final = 999
_DIGITS: Final = 19


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@with_authority
def record(authority: Authority, file: IO[str]) -> Answer:
    """Enter charges that somebody else metered, each once however often it is recorded.

    FILE, or - for standard input, holds one JSON object per line: "reference", "workspace_id", "key_id",
    and optionally "cost" (decimal credits; else what the counts cost), "model", "path", "request_id",
    "counts" (an object), "status" and "time" (2027-01-31T12:00:00Z, at most 72 hours ago).
    """
    charges = _read(file)
    if not charges:
        raise click.ClickException("there is no charge to record")
    states: Counter[str] = Counter()
    others, cost, receipt = [], 0, None
    starts = range(0, len(charges), _AT_ONCE)
    for start in counted(starts, "Recording", len(starts)):
        batch = charges[start : start + _AT_ONCE]
        _, changed = authority.call(ledger.record([charge for _, charge in batch]))
        receipt = changed.receipt
        for (number, charge), recorded in zip(batch, changed.record, strict=True):
            states[_name(recorded)] += 1
            cost += recorded.cost if recorded.state is RecordedState.ENTERED else 0
            if recorded.state not in _ENTERED:
                others.append((number, charge.reference, _name(recorded)))
    document = {
        "states": dict(states),
        "cost": write(cost),
        "not_entered": [
            {"line": number, "reference": reference, "state": state}
            for number, reference, state in others
        ],
    }
    entered = count(states[RecordedState.ENTERED.name.lower()], "charge")
    known = states[RecordedState.KNOWN.name.lower()]
    text = f"Entered {entered} of {write(cost)} credits; {known:,} were known."
    if receipt is not None:
        text += f" {spread(receipt)}"
    lines = [f"line {number}: {reference}: {state}" for number, reference, state in others]
    if lines:
        text = "\n".join((text, f"{count(len(lines), 'charge')} not entered:", *lines))
    brief = "\n".join(lines)
    return Answer(document, text, exit_code=1 if lines else 0, brief=brief)


def _name(recorded: Recorded) -> str:
    return "of a newer version" if recorded.state is None else recorded.state.name.lower()


def _read(file: IO[str]) -> list[tuple[int, ChargeToRecord]]:
    # With the number of its line each; all of them before the first is sent.
    charges = []
    try:
        for number, text in enumerate(file, 1):
            if text.strip():
                charges.append((number, _charge(number, text)))
    except UnicodeDecodeError:
        raise click.ClickException("the file to record is not UTF-8 text") from None
    return charges


def _charge(number: int, text: str) -> ChargeToRecord:
    try:
        # Numbers stay as they are written: a float would not be exact.
        fields = json.loads(text, parse_float=str, parse_int=str)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004, TRY301 - one kind of fault
        return _charge_of(fields)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"line {number}: {error}") from None


def _charge_of(fields: Mapping[str, Any]) -> ChargeToRecord:
    if strangers := fields.keys() - _NAMES:
        raise ValueError(f"no field is called {min(strangers)!r}")
    texts = {name: fields.get(name, "") for name in (*_TEXTS, "time")}
    for name, text in texts.items():
        if not (isinstance(text, str) and is_text(text)):
            raise ValueError(f"{name} is no text")
    time, cost, counts = texts.pop("time"), fields.get("cost"), fields.get("counts", {})
    if not isinstance(counts, dict) or not all(map(is_text, counts)):
        raise ValueError("counts is no object of numbers")
    return ChargeToRecord(
        **texts,
        cost=None if cost is None else parse(str(cost)),
        counts={name: _whole(f"counts.{name}", count) for name, count in counts.items()},
        status=_whole("status", fields.get("status", "0"), _STATUS),
        time=parse_moment(time) if time else None,
    )


def _whole(name: str, text: Any, most: int = _LARGEST) -> int:
    digits = text if isinstance(text, str) and text.isdecimal() else ""
    if not 1 <= len(digits) <= _DIGITS or int(digits) > most:
        raise ValueError(f"{name} is no whole number from 0 to {most}")
    return int(digits)
