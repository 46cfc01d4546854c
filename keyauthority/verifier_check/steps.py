"""What is done with a verifier, step by step, and what it has to do; the steps of the test vectors.

Times are seconds. `docs/sync-protocol.md` explains each step to those who read the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias


class Held(NamedTuple):
    """Whose a secret is: names that stand for a key and a workspace."""

    key: str
    workspace: str


SECRETS: Final[Mapping[str, Held]] = {
    "a1": Held("A", "W"),
    "a2": Held("A", "W"),
    "b": Held("B", "W"),
    "foreign": Held("F", "W"),
}
"""The secrets that the steps name: two of one key, one of another key in the same workspace, and an
imported one. Every check mints its own."""


@dataclass(frozen=True, slots=True)
class Sync:
    """The verifier has to send a Sync: it joins, or acknowledges what it has applied."""

    joins: bool = False
    epoch: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """The authority answers that Sync. *subjects* are names of keys and workspaces."""

    epoch: int
    revision: int
    lease: float
    subjects: tuple[str, ...] = ()
    reset: bool = False
    foreign_secrets: bool = True


@dataclass(frozen=True, slots=True)
class RefuseSync:
    """The authority answers that Sync by an error."""

    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody presents a secret to the verifier."""

    question: int
    secret: str


@dataclass(frozen=True, slots=True)
class Call:
    """The verifier has to ask the authority about the secret, before it answers anybody."""

    secret: str
    at_least_revision: int = 0
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The authority answers that call.

    *verdicts* are those of secrets that it names; the verdict on each other secret of the call is *verdict*.
    """

    verdict: str
    epoch: int
    revision: int
    cache_for: float = 60.0
    key_revoked: bool = False
    verdicts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefuseCall:
    """The authority answers that call by an error."""

    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The verifier has to answer the question: by a verdict, or `UNAVAILABLE`.

    If *cached*, without a call. A call that it makes nevertheless gets *otherwise*, if that is set.
    """

    question: int
    verdict: str = ""
    cached: bool = False
    otherwise: Reply | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing happens for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Freeze:
    """The verifier's process is stopped. What is asked meanwhile waits for it."""


@dataclass(frozen=True, slots=True)
class Thaw:
    """The verifier's process goes on."""


@dataclass(frozen=True, slots=True)
class Close:
    """The verifier's standard input ends: it has to leave its session, and to exit."""

    leaves: bool = False


Step: TypeAlias = (
    Sync
    | Grant
    | RefuseSync
    | Ask
    | Call
    | Reply
    | RefuseCall
    | Answer
    | Pass
    | Freeze
    | Thaw
    | Close
)

STEPS: Final[Mapping[str, type[Step]]] = {
    "sync": Sync,
    "grant": Grant,
    "refuse_sync": RefuseSync,
    "ask": Ask,
    "call": Call,
    "reply": Reply,
    "refuse_call": RefuseCall,
    "answer": Answer,
    "pass": Pass,
    "freeze": Freeze,
    "thaw": Thaw,
    "close": Close,
}
"""The names of steps in the vectors."""

_NAMES: Final = {step: name for name, step in STEPS.items()}


@dataclass(frozen=True, slots=True)
class Vector:
    """One rule, what it says, and the steps in which a verifier shows whether it keeps it."""

    rule: str
    says: str
    steps: tuple[Step, ...]


def to_dict(step: Step) -> dict[str, Any]:
    """Returns *step* as it stands in the vectors."""
    return {"step": _NAMES[type(step)], **asdict(step)}


def from_dict(fields: Mapping[str, Any]) -> Step:
    """Returns the step of *fields*, which `to_dict` made."""
    name, values = fields["step"], {name: fields[name] for name in fields if name != "step"}
    if name == "grant":
        values["subjects"] = tuple(values["subjects"])
    if name == "answer" and values["otherwise"] is not None:
        values["otherwise"] = Reply(**values["otherwise"])
    return STEPS[name](**values)
