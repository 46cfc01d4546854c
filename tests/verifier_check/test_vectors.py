"""The vectors are what the shipped verifier does, and each finds a verifier that breaks its rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scaling.virtual import run
from keyauthority.verifier_check import vectors
from keyauthority.verifier_check.checking import broken
from keyauthority.verifier_check.steps import Answer, Vector
from tests.coherence.recording import Parts, recorded, simulated
from tests.coherence.rules import RULES
from tests.verifier_check.bugs import BUGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "sync-protocol.md"
VECTORS = {vector.rule: vector for vector in vectors.load()}


def checked(parts: Parts, vector: Vector) -> str:
    async def check() -> str:
        async with simulated(parts) as driver:
            return await broken(driver, vector.steps)

    return run(check())


def test_the_vectors_are_current() -> None:
    """`make sync-vectors` writes what is in the file."""
    written = "".join(f"{vectors.line(recorded(rule))}\n" for rule in RULES)
    assert vectors.FILE.read_text() == written, "run make sync-vectors"


def test_the_shipped_verifier_keeps_every_rule() -> None:
    """As it stands in the file."""
    assert {rule: checked(Parts(), vector) for rule, vector in VECTORS.items()} == dict.fromkeys(
        VECTORS, ""
    )


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_breaks_its_rule(bug: str) -> None:
    """And the check says how that showed."""
    parts, rule = BUGS[bug]
    assert checked(parts, VECTORS[rule])


def test_every_rule_has_a_bug() -> None:
    """A rule that finds nothing says nothing."""
    assert {rule for _, rule in BUGS.values()} == set(VECTORS)


def test_the_document_lists_the_rules() -> None:
    """Each with the sentence of its vector, in their order."""
    rows = [f"| `{vector.rule}` | {vector.says} |" for vector in VECTORS.values()]
    assert "\n".join(rows) in DOCUMENT.read_text()


def test_a_vector_that_expects_something_else_fails() -> None:
    """The verdicts are compared, each of them."""
    vector = VECTORS["answers-from-the-cache"]
    wrong = tuple(
        replace(step, verdict="REVOKED") if isinstance(step, Answer) and step.cached else step
        for step in vector.steps
    )
    seen = checked(Parts(), replace(vector, steps=wrong))
    assert seen == "answers VALID where REVOKED is right (step 9)"
