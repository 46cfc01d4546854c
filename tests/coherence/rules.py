"""The rules of a verifier as scripts: what is done with it. What it does is recorded (`recording`)."""

from __future__ import annotations

from typing import Final

from keyauthority.verifier_check.steps import (
    Answer,
    Ask,
    Call,
    Close,
    Freeze,
    Grant,
    Pass,
    RefuseCall,
    RefuseSync,
    Reply,
    Step,
    Sync,
    Thaw,
    Vector,
)

SHORT: Final = 0.5
"""A lease that is waited out."""

OVER: Final = 0.75
"""After that, by any clock."""

FIRST: Final = (Sync(), Grant(1, 5, 60.0, reset=True), Sync())
"""A long lease, whose acknowledgement says that it is in force."""

BRIEF: Final = (Sync(), Grant(1, 5, SHORT, reset=True), Sync())

OUTAGE: Final = RefuseCall("UNAVAILABLE", "STORE_UNAVAILABLE")

EACH: Final = Reply("UNKNOWN", 1, 5, verdicts={"a1": "VALID", "b": "DISABLED", "a2": "REVOKED"})


def answered(
    question: int, secret: str, verdict: str = "VALID", revision: int = 5, epoch: int = 1
) -> tuple[Step, ...]:
    """The secret is asked about, and the verdict is given."""
    reply = Reply(verdict, epoch, revision)
    return Ask(question, secret), Call(secret), reply, Answer(question)


def cached(question: int, secret: str) -> tuple[Step, ...]:
    """It is answered without a call."""
    return Ask(question, secret), Answer(question, cached=True)


def unanswered(question: int, secret: str) -> tuple[Step, ...]:
    """It is asked about again, and the authority can't say."""
    return Ask(question, secret), Call(secret), OUTAGE, Answer(question)


RULES: Final = (
    Vector(
        "fresh-until-the-first-grant",
        "Before the first reply to Sync every question is a call that sets fresh, and no verdict is kept.",
        (Sync(), *answered(1, "a1"), *answered(2, "a1", "REVOKED", 6)),
    ),
    Vector(
        "answers-from-the-cache",
        "Under a lease a verdict is given again without a call, until cache_for is over.",
        (*FIRST, *answered(1, "a1"), *cached(2, "a1")),
    ),
    Vector(
        "no-lease-no-cache",
        "A lease of zero is none: every question is a call.",
        (Sync(), Grant(1, 5, 0.0, reset=True), Sync(), *answered(1, "a1"), *unanswered(2, "a1")),
    ),
    Vector(
        "a-lease-ends",
        "When the lease is over nothing is answered from the cache, however short the outage.",
        (*BRIEF, *answered(1, "a1"), Pass(OVER), *unanswered(2, "a1")),
    ),
    Vector(
        "a-failed-sync-prolongs-no-lease",
        "A lease ends when it would have ended without the errors of Sync, too.",
        (
            *BRIEF,
            *answered(1, "a1"),
            RefuseSync("UNAVAILABLE", "STORE_UNAVAILABLE"),
            Sync(),
            Pass(OVER),
            *unanswered(2, "a1"),
        ),
    ),
    Vector(
        "a-refused-credential-ends-the-lease",
        "PERMISSION_DENIED and UNAUTHENTICATED to Sync end the lease at once, until the next grant.",
        (
            *FIRST,
            *answered(1, "a1"),
            RefuseSync("PERMISSION_DENIED", "ROLE_MISSING"),
            Sync(),
            *unanswered(2, "a1"),
            Grant(1, 5, 60.0),
            Sync(),
            RefuseSync("UNAUTHENTICATED", "CREDENTIAL_INVALID"),
            Sync(),
            *unanswered(3, "a1"),
        ),
    ),
    Vector(
        "a-lease-runs-from-its-sending",
        "A lease counts from when its Sync was sent, not from when the reply came.",
        (
            Sync(),
            Pass(OVER),
            Grant(1, 5, SHORT, reset=True),
            Sync(),
            *answered(1, "a1"),
            *unanswered(2, "a1"),
        ),
    ),
    Vector(
        "a-lease-ends-while-the-process-is-stopped",
        "The clock is read at every answer: a process that was stopped does not use the lease it had.",
        (
            *BRIEF,
            *answered(1, "a1"),
            Freeze(),
            Ask(2, "a1"),
            Pass(OVER),
            Thaw(),
            Call("a1"),
            OUTAGE,
            Answer(2),
        ),
    ),
    Vector(
        "cache-for-ends",
        "A verdict is kept for cache_for and no longer, whatever is left of the lease.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Reply("VALID", 1, 5, SHORT),
            Answer(1),
            Pass(OVER),
            *unanswered(2, "a1"),
        ),
    ),
    Vector(
        "cache-for-runs-from-the-sending",
        "cache_for counts from when the question was sent.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Pass(0.3),
            Reply("VALID", 1, 5, 0.25),
            Answer(1),
            *unanswered(2, "a1"),
        ),
    ),
    Vector(
        "what-changed-is-dropped-and-acknowledged",
        "What a reply to Sync names is dropped, and then the next Sync says so, at once.",
        (
            *FIRST,
            *answered(1, "a1"),
            *answered(2, "b"),
            Grant(1, 6, 60.0, ("A",)),
            Sync(),
            *answered(3, "a1", "REVOKED", 6),
            *cached(4, "b"),
        ),
    ),
    Vector(
        "acknowledges-only-what-is-applied",
        "Sync claims the last grant that was applied, whatever revisions verdicts have told of.",
        (
            *FIRST,
            *answered(1, "b", "VALID", 8),
            RefuseSync("UNAVAILABLE", "STORE_UNAVAILABLE"),
            Sync(),
        ),
    ),
    Vector(
        "a-workspace-is-all-its-keys",
        "A subject may be a workspace: the verdicts on all its keys are dropped.",
        (
            *FIRST,
            *answered(1, "a1"),
            *answered(2, "b"),
            Grant(1, 6, 60.0, ("W",)),
            Sync(),
            *answered(3, "a1", "WORKSPACE_SUSPENDED", 6),
            *answered(4, "b", "WORKSPACE_SUSPENDED", 6),
        ),
    ),
    Vector(
        "a-reset-drops-everything",
        "A reply with reset drops all verdicts but REVOKED.",
        (
            *FIRST,
            *answered(1, "a1"),
            *answered(2, "b"),
            Grant(1, 9, 60.0, reset=True),
            Sync(),
            *answered(3, "a1", "DISABLED", 9),
            *answered(4, "b", "DISABLED", 9),
        ),
    ),
    Vector(
        "a-new-epoch-drops-everything",
        "A reply of a newer epoch drops all verdicts but REVOKED, and revisions begin anew with it.",
        (
            *FIRST,
            *answered(1, "a1"),
            Grant(2, 3, 60.0),
            Sync(),
            Ask(2, "a1"),
            Call("a1"),
            Reply("DISABLED", 2, 3),
            Answer(2),
        ),
    ),
    Vector(
        "a-new-epoch-ends-the-lease",
        "A reply of a newer epoch ends the lease that was in force, also if it grants none itself.",
        (
            *FIRST,
            Grant(2, 3, 0.0),
            Sync(),
            *answered(1, "a1", "VALID", 3, epoch=2),
            *unanswered(2, "a1"),
        ),
    ),
    Vector(
        "no-grant-of-an-older-epoch",
        "A reply to Sync of an older epoch is not applied, drops all verdicts but REVOKED, and ends the lease.",
        (
            *FIRST,
            Grant(2, 3, 60.0),
            Sync(),
            *answered(1, "a1", "VALID", 3, epoch=2),
            Grant(1, 9, 60.0),
            Sync(),
            *answered(2, "a1", "VALID", 3, epoch=2),
            *unanswered(3, "a1"),
        ),
    ),
    Vector(
        "revoked-is-final",
        "REVOKED outlives resets, epochs and leases, and no later verdict replaces it.",
        (
            *FIRST,
            *answered(1, "a1", "REVOKED"),
            Grant(1, 6, 60.0, reset=True),
            Sync(),
            Ask(2, "a1"),
            Answer(2, otherwise=Reply("VALID", 1, 6)),
            Grant(2, 1, 0.0),
            Sync(),
            Ask(3, "a1"),
            Answer(3, otherwise=Reply("VALID", 2, 1)),
        ),
    ),
    Vector(
        "a-revoked-key-drops-its-other-secrets",
        "REVOKED with key_revoked drops the verdicts on the key's other secrets.",
        (
            *FIRST,
            *answered(1, "a1"),
            Ask(2, "a2"),
            Call("a2"),
            Reply("REVOKED", 1, 6, key_revoked=True),
            Answer(2),
            *answered(3, "a1", "REVOKED", 6),
        ),
    ),
    Vector(
        "no-answer-older-than-what-is-applied",
        "A verdict of an older revision than what was applied since the question is asked for again.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Grant(1, 6, 60.0, ("A",)),
            Sync(),
            Reply("VALID", 1, 5),
            Call("a1"),
            Reply("REVOKED", 1, 6),
            Answer(1),
        ),
    ),
    Vector(
        "no-answer-older-than-what-is-seen",
        "Each call asks for the newest revision heard of, also from another answer, and takes none older.",
        (
            *FIRST,
            *answered(1, "b", "VALID", 8),
            Ask(2, "a1"),
            Call("a1"),
            Reply("VALID", 1, 7),
            Call("a1"),
            Reply("REVOKED", 1, 8),
            Answer(2),
        ),
    ),
    Vector(
        "no-answer-of-another-epoch",
        "A verdict of another epoch than that of the last grant does not count, nor does its epoch.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Reply("VALID", 2, 9),
            Call("a1"),
            Reply("REVOKED", 1, 5),
            Answer(1),
        ),
    ),
    Vector(
        "no-answer-from-before-a-new-epoch",
        "A call that was under way when a new epoch began is made again, whatever its answer is of.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Grant(2, 3, 60.0),
            Sync(),
            Reply("VALID", 2, 3),
            Call("a1"),
            Reply("REVOKED", 2, 3),
            Answer(1),
        ),
    ),
    Vector(
        "each-secret-has-its-own-verdict",
        "Of secrets that are asked about together, each gets the verdict on itself.",
        (
            *FIRST,
            Freeze(),
            Ask(1, "a1"),
            Ask(2, "b"),
            Ask(3, "a2"),
            Thaw(),
            Answer(1, otherwise=EACH),
            Answer(2, otherwise=EACH),
            Answer(3, otherwise=EACH),
            *cached(4, "a1"),
            *cached(5, "b"),
            *cached(6, "a2"),
        ),
    ),
    Vector(
        "only-the-answer-of-a-later-call",
        "A question takes the verdict of no call that was sent before it came.",
        (
            Sync(),
            Grant(1, 5, 0.0, reset=True),
            Sync(),
            Ask(1, "a1"),
            Call("a1"),
            Ask(2, "a1"),
            Pass(0.2),
            Reply("VALID", 1, 5),
            Answer(1),
            Call("a1"),
            Reply("REVOKED", 1, 6),
            Answer(2),
        ),
    ),
    Vector(
        "books-that-went-back-are-an-alarm",
        "A head below one that was heard of in the same epoch drops all verdicts but REVOKED, and is no lease.",
        (
            *FIRST,
            *answered(1, "a1"),
            *answered(2, "b"),
            Grant(1, 4, 60.0),
            Sync(),
            *answered(3, "a1"),
            *unanswered(4, "a1"),
            Grant(1, 9, 60.0),
            Sync(),
            *answered(5, "b", "REVOKED", 9),
        ),
    ),
    Vector(
        "a-verdict-is-heard-of-too",
        "A head below the revision of a verdict is an alarm as well, if the Sync was sent after the verdict came.",
        (
            *FIRST,
            *answered(1, "a1", "VALID", 8),
            Grant(1, 6, 60.0),
            Sync(),
            Grant(1, 7, 60.0),
            Sync(),
            *answered(2, "a1", "VALID", 8),
            *unanswered(3, "a1"),
        ),
    ),
    Vector(
        "no-answer-from-before-an-alarm",
        "A call that was under way when books went back is made again: nobody knows what they forgot.",
        (
            *FIRST,
            Ask(1, "a1"),
            Call("a1"),
            Grant(1, 4, 60.0),
            Sync(),
            Reply("VALID", 1, 5),
            Call("a1"),
            Reply("REVOKED", 1, 6),
            Answer(1),
        ),
    ),
    Vector(
        "a-lost-session-is-joined-anew",
        "SESSION_NOT_FOUND is answered by a Sync that joins, with the revision that is applied.",
        (
            *FIRST,
            *answered(1, "a1"),
            RefuseSync("NOT_FOUND", "SESSION_NOT_FOUND"),
            Sync(),
            Grant(1, 6, 60.0, ("A",)),
            Sync(),
            *answered(2, "a1", "REVOKED", 6),
        ),
    ),
    Vector(
        "a-failed-sync-is-sent-again",
        "After an error Sync is sent again, with the same session and claim.",
        (
            *FIRST,
            RefuseSync("UNAVAILABLE", "STORE_UNAVAILABLE"),
            Sync(),
            Grant(1, 6, 60.0, ("A",)),
            Sync(),
            *answered(1, "a1", "VALID", 6),
            *cached(2, "a1"),
        ),
    ),
    Vector(
        "an-outage-is-no-refusal",
        "A call that fails, for whatever reason, says nothing about the secret.",
        (
            *FIRST,
            *unanswered(1, "a1"),
            Ask(2, "a1"),
            Call("a1"),
            RefuseCall("PERMISSION_DENIED", "ROLE_MISSING"),
            Answer(2),
            *answered(3, "a1"),
        ),
    ),
    Vector(
        "an-unknown-verdict-is-none",
        "A verdict that the verifier does not know is no acceptance and no refusal.",
        (*FIRST, *answered(1, "a1", "UNSPECIFIED"), *answered(2, "a1")),
    ),
    Vector(
        "foreign-secrets-are-asked-about",
        "Only under a lease may foreign_secrets, if it is false, answer for a call: UNKNOWN.",
        (
            Sync(),
            Grant(1, 5, SHORT, reset=True, foreign_secrets=False),
            Sync(),
            Pass(OVER),
            *answered(1, "foreign"),
        ),
    ),
    Vector(
        "leaves-when-it-ends",
        "A verifier that ends its work ends its session by Leave, so that no change waits for it.",
        (*FIRST, Close()),
    ),
)
