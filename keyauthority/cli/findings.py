"""What `keyauthority doctor` finds: each check in a sentence, which says what to mend."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Grade(enum.Enum):
    """How a check went."""

    OK = "ok"
    SKIPPED = "skip"
    WARNING = "warn"
    FAILED = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of *subject*, such as `files`."""

    grade: Grade
    subject: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    """Returns that all is well."""
    return Finding(Grade.OK, subject, sentence)


def skipped(subject: str, sentence: str) -> Finding:
    """Returns that there was nothing to check."""
    return Finding(Grade.SKIPPED, subject, sentence)


def warning(subject: str, sentence: str) -> Finding:
    """Returns that it works, and should be mended."""
    return Finding(Grade.WARNING, subject, sentence)


def failed(subject: str, sentence: str) -> Finding:
    """Returns that it does not work, or is not safe."""
    return Finding(Grade.FAILED, subject, sentence)
