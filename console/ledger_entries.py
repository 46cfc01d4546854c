"""Entries of a workspace's ledger as people read them: what each was for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from console import amounts
from console.authority import Acting
from console.paths import url
from console.visit import Visit
from keyauthority.client.admin import Entry, EntryKind

KINDS: Final = {kind.name.lower(): kind for kind in EntryKind}
"""The kinds by their value in an address."""

_INPUT: Final = ("input", "cached_input", "cache_write", "audio_input", "image_input")
_OUTPUT: Final = ("output", "reasoning", "audio_output")
_CLASSES: Final = {
    "input": "Input tokens",
    "cached_input": "Cached input tokens",
    "cache_write": "Input tokens written to the cache",
    "audio_input": "Audio input tokens",
    "image_input": "Image input tokens",
    "output": "Output tokens",
    "reasoning": "Reasoning tokens",
    "audio_output": "Audio output tokens",
    "images": "Images",
    "milliseconds": "Milliseconds of audio",
    "characters": "Characters",
}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry in a list; `kind` is one of `words.ENTRIES`, `title` says what it was for.

    `about` are short facts, for instance the model; `details` have names.
    """

    number: int
    time: datetime
    kind: str
    title: str
    href: str | None
    about: Sequence[str]
    note: str
    estimated: bool
    amount: int
    balance: int
    details: Sequence[tuple[str, str]]


async def rows(visit: Visit, entries: Sequence[Entry]) -> list[EntryRow]:
    """Returns entries with the names of their keys. Raises `AuthorityError`."""
    ids = {entry.use.key_id for entry in entries}
    names = await key_names(visit.authority, visit.workspace_id, ids)
    return [_row(visit.workspace_id, entry, names) for entry in entries]


async def key_names(authority: Acting, workspace_id: str, ids: set[str]) -> dict[str, str]:
    """Returns the names of those keys of *ids* that are the workspace's. Raises `AuthorityError`."""
    keys = await authority.some_keys(workspace_id, sorted(ids - {""}))
    return {key.id: key.settings.name for key in keys}


def who(entry: Entry) -> str:
    """Returns the person behind the entry, else the program."""
    return entry.person_name or entry.caller_name


def usage(counts: Mapping[str, int]) -> list[str]:
    """Returns what a request used: "1,204 tokens in", "310 out", "2 images"."""
    used = []
    tokens_in = sum(counts.get(name, 0) for name in _INPUT)
    tokens_out = sum(counts.get(name, 0) for name in _OUTPUT)
    if tokens_in or tokens_out:
        used.append(f"{tokens_in:,} tokens in, {tokens_out:,} out")
    if images := counts.get("images", 0):
        used.append(f"{images:,} image{'' if images == 1 else 's'}")
    if milliseconds := counts.get("milliseconds", 0):
        used.append(f"{milliseconds // 1000:,}.{milliseconds % 1000:03} s of audio")
    if characters := counts.get("characters", 0):
        used.append(f"{characters:,} character{'' if characters == 1 else 's'}")
    return used


def _row(workspace_id: str, entry: Entry, names: Mapping[str, str]) -> EntryRow:
    use, is_charge = entry.use, entry.kind is EntryKind.CHARGE
    title, href = _TITLES[entry.kind], None
    if is_charge:
        title = names.get(use.key_id) or use.key_id or title
        if use.key_id in names:
            href = url("key", workspace=workspace_id, key=use.key_id)
    elif entry.kind is EntryKind.REFUND:
        title = f"Refund of {entry.subject}"
    elif entry.kind is EntryKind.GRANT:
        title = f"Top-up {entry.reference}"
    about = [use.model or use.path, *usage(use.counts)] if is_charge else [f"by {who(entry)}"]
    return EntryRow(
        number=entry.number,
        time=entry.time,
        kind=entry.kind.name.lower(),
        title=title,
        href=href,
        about=[text for text in about if text],
        note=entry.note,
        estimated=use.estimated,
        amount=entry.amount,
        balance=entry.balance,
        details=_details(entry),
    )


_TITLES: Final = {
    EntryKind.GRANT: "Top-up",
    EntryKind.CHARGE: "Request",
    EntryKind.REFUND: "Refund",
    EntryKind.ADJUSTMENT: "Adjustment",
    EntryKind.EXPIRY: "Credits whose time was over",
}


def _details(entry: Entry) -> list[tuple[str, str]]:
    use = entry.use
    details = [("Entry", str(entry.number)), ("Reference", entry.reference)]
    if entry.kind is EntryKind.CHARGE:
        details += [
            ("Path", use.path),
            ("Request", use.request_id),
            ("Status of the answer", str(use.status or "none")),
            *((_CLASSES.get(name, name), f"{count:,}") for name, count in use.counts.items()),
            ("Price", use.price_id),
            ("Held for it", amounts.text(use.held)),
        ]
    else:
        details += [("Belongs to", entry.subject), ("Through", entry.caller_name)]
    return [(name, text) for name, text in details if text]
