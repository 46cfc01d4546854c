"""The test vectors: JSON, a line for each rule, as the simulation wrote them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keyauthority.verifier_check.steps import Vector, from_dict, to_dict

FILE: Final = Path(__file__).with_name("vectors.jsonl")
"""`make sync-vectors` writes it."""


def load() -> Sequence[Vector]:
    """Returns the vectors, in the order of `docs/sync-protocol.md`."""
    return [_vector(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def line(vector: Vector) -> str:
    """Returns *vector* as its line in the file."""
    steps = [to_dict(step) for step in vector.steps]
    return json.dumps({"rule": vector.rule, "says": vector.says, "steps": steps})


def _vector(text: str) -> Vector:
    fields = json.loads(text)
    return Vector(fields["rule"], fields["says"], tuple(map(from_dict, fields["steps"])))
