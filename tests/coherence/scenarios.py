"""The small worlds that are searched, each for some of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.coherence.world import KEY_OF, WORKSPACE


@dataclass(frozen=True, slots=True)
class Scenario:
    """What there is in a world, and what may happen.

    `changes` are made in this order, each at any time and process: a fact with `+` or `-` before it.
    One with `*` is a creation, which nobody waits for; one with `!` fails and is rolled back; one
    with `=` finds nothing to change. `may` names what else may happen;
    `misfortunes` is how often, of crashes and the like. `fresh` is a verifier without a cache.
    A `plain` one has none either, and does not ask for the newest. `lost` is how many revisions a
    backup does not have, `lease_in_backup` how long leases lasted then. `begins` is how the world came to where its search starts: steps by their
    labels. `expires` is the tick at which the key does, in a world whose clocks are exact.
    """

    name: str
    ticks: int
    verifiers: int = 1
    processes: int = 1
    rows: bool = False
    own_caches: bool = False
    secrets: tuple[str, ...] = ("one",)
    facts: frozenset[str] = frozenset()
    changes: tuple[str, ...] = ("+key revoked",)
    syncs: int = 3
    own_syncs: int = 2
    under_way: int = 2
    waiters: int = 1
    lease: float = 1.0
    longest: float = 1.0
    expires: int | None = None
    fresh: bool = False
    plain: bool = False
    lost: int = 0
    lease_in_backup: float | None = None
    begins: tuple[str, ...] = ()
    misfortunes: int = 0
    may: frozenset[str] = field(default_factory=frozenset)


def subject_of(change: str) -> str:
    """Whose change it is: a key's, the workspace's or a caller's."""
    name = change[1:].split(maxsplit=1)[0]
    if name == WORKSPACE or name in KEY_OF.values():
        return name
    return KEY_OF.get(name, name)


def _may(*what: str) -> frozenset[str]:
    return frozenset(what)


# What may happen comes at once to the authority, unless a world is `slow`.

_LEASED = ("sends Sync 1", "verifier 0 hears of Sync 1")
_CACHED = (*_LEASED, "a request with secret one", "hears that one is VALID")
_SETTLED = ("backup", "second", "second", "settled")
_OWN_LEASE = ("process 1 sends Sync 1", "process 1 hears of Sync 1")
_OWN_CACHED = (*_OWN_LEASE, "secret one comes to verifier 0; process 1", "hears that one is VALID")


def _replicas(name: str, ticks: int, **more: Any) -> Scenario:
    settings = {"syncs": 2, "own_syncs": 2, "under_way": 1, **more}
    return Scenario(name, ticks, processes=2, rows=True, own_caches=True, **settings)


LEASE = Scenario("lease", ticks=4, syncs=2, under_way=1)
ABANDONED = Scenario("abandoned", ticks=1, syncs=4)
SLOW = Scenario("slow", ticks=3, syncs=2, may=_may("slow", "slow commit"))
COMMITS = Scenario("commits", ticks=4, syncs=1, under_way=1, may=_may("slow commit"))
_BATCH = ("+workspace suspended", "!key disabled", "+key revoked")
TOGETHER = Scenario(
    "together",
    ticks=2,
    changes=("+imported disabled", *_BATCH),
    syncs=4,
    under_way=1,
    may=_may("together", "slow commit", "slow answer"),
    begins=(
        "begins +imported disabled",
        "commits",
        "hears of its commit",
        "returns",
        *_CACHED,
        f"begins {', '.join(_BATCH)}",
    ),
)
WORKS_RUN = Scenario(
    "works run",
    ticks=1,
    changes=_BATCH[:2],
    syncs=1,
    under_way=1,
    may=_may("together", "slow commit", "slow answer"),
)
ROLLED_BACK = Scenario(
    "rolled back",
    ticks=1,
    changes=_BATCH,
    syncs=4,
    under_way=1,
    may=_may("together"),
    begins=(*_LEASED, "commits +workspace suspended, !key disabled as"),
)
UNANSWERED = Scenario(
    "unanswered",
    ticks=2,
    processes=2,
    rows=True,
    changes=("+workspace suspended", "+key revoked", "=key revoked"),
    syncs=3,
    own_syncs=0,
    under_way=1,
    misfortunes=1,
    may=_may("together", "slow commit", "slow answer", "batch fails", "repeat", "crash"),
    begins=_CACHED,
)
SPLIT = Scenario("split", ticks=2, syncs=3, under_way=1, may=_may("split sync"))
REJOINING = Scenario(
    "rejoining",
    ticks=4,
    syncs=4,
    under_way=1,
    misfortunes=1,
    may=_may("split sync", "crash"),
    begins=(
        "sends Sync 1",
        "granted",
        "hears of Sync 1",
        "a request",
        "hears that one is VALID",
        "crashes",
        "starts",
        "second",
        "second",
        "sends Sync 2",
        "session gone",
    ),
)
HELD = Scenario(
    "held", ticks=4, syncs=3, under_way=1, may=_may("hold", "leave", "janitor"), begins=_CACHED
)
HELD_EPOCHS = Scenario(
    "held, restored",
    ticks=4,
    syncs=3,
    under_way=1,
    misfortunes=1,
    may=_may("hold", "restore"),
    begins=_CACHED,
)
RENEWING = Scenario(
    "renewing",
    ticks=5,
    syncs=3,
    under_way=1,
    may=_may("split sync", "janitor"),
    begins=(
        "sends Sync 1",
        "granted",
        "hears of Sync 1",
        "a request",
        "hears that one is VALID",
    ),
)
REPEAT = Scenario("repeat", ticks=3, syncs=2, under_way=1, may=_may("repeat"))
PAIR = Scenario("pair", ticks=0, verifiers=2, syncs=2, under_way=1)
JANITOR = Scenario("janitor", ticks=3, syncs=3, under_way=1, may=_may("janitor"), begins=_CACHED)
LEAVING = Scenario(
    "leaving", ticks=2, syncs=3, under_way=1, misfortunes=1, may=_may("leave", "restart")
)
REUSED = Scenario(
    "reused",
    ticks=3,
    syncs=3,
    under_way=1,
    misfortunes=1,
    may=_may("janitor", "restart"),
    begins=(*_LEASED, "sweeps", "second", "starts anew"),
)
AGAIN = Scenario(
    "again",
    ticks=1,
    changes=("+key disabled", "-key disabled", "+key revoked"),
    syncs=4,
    under_way=1,
)
PRUNED = Scenario(
    "pruned",
    ticks=2,
    changes=("+key revoked", "+workspace suspended"),
    syncs=3,
    under_way=1,
    may=_may("prune"),
    begins=_LEASED,
)
WORKSPACES = Scenario(
    "workspaces",
    ticks=2,
    changes=("+workspace suspended", "-workspace suspended"),
    under_way=1,
)
SECRETS = Scenario(
    "secrets",
    ticks=1,
    secrets=("one", "two"),
    changes=("+one retired", "+key revoked"),
    syncs=3,
    under_way=1,
    begins=_LEASED,
)
JOINERS = Scenario("joiners", ticks=2, waiters=3, syncs=2, under_way=1, may=_may("slow"))
FRESH = _replicas("fresh", ticks=1, fresh=True, waiters=2)
PLAIN = _replicas("plain", ticks=2, plain=True)
READING = _replicas("reading", ticks=1, plain=True, own_syncs=3, may=_may("split read"))
REPLICAS = _replicas("replicas", ticks=0, own_syncs=3, syncs=3, begins=(*_OWN_CACHED, *_LEASED))
OVERTAKEN = _replicas(
    "overtaken",
    ticks=0,
    own_syncs=3,
    syncs=3,
    begins=(*_OWN_CACHED, *_LEASED, "commits", "comes to verifier 0; process 1"),
)
NEWCOMERS = _replicas("newcomers", ticks=0, misfortunes=1, may=_may("restart"), begins=_OWN_CACHED)
REFUSING = _replicas("refusing", ticks=0, secrets=("one", "two"), begins=(*_OWN_LEASE, *_LEASED))
FAILOVER = _replicas(
    "failover", ticks=3, plain=True, misfortunes=1, own_syncs=1, may=_may("failover", "split read")
)
EPOCHS = Scenario(
    "epochs",
    ticks=3,
    changes=("+workspace suspended", "-workspace suspended", "+key revoked"),
    lost=1,
    syncs=4,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
)
CUT = Scenario(
    "cut",
    ticks=4,
    lost=2,
    syncs=5,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
    begins=(*_LEASED, "a request", *_SETTLED),
)
RESTORED = Scenario(
    "restored",
    ticks=4,
    lost=2,
    changes=("+key revoked", "+key disabled"),
    syncs=5,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
    begins=(*_CACHED, *_SETTLED),
)
RESTORED_SHORTER = Scenario(
    "restored, shorter",
    ticks=3,
    lease=2.0,
    longest=2.0,
    lease_in_backup=1.0,
    syncs=3,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
    begins=_CACHED,
)
RESTORED_SECRETS = Scenario(
    "restored, secrets",
    ticks=3,
    lost=1,
    secrets=("one", "two"),
    changes=("+one retired",),
    syncs=5,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
    begins=(*_CACHED, *_SETTLED),
)
RESTORED_TWICE = Scenario(
    "restored twice",
    ticks=3,
    changes=("+workspace suspended", "-workspace suspended", "+key revoked", "+key disabled"),
    syncs=4,
    misfortunes=2,
    under_way=1,
    may=_may("restore"),
    begins=("backup", "commits", "commits", *_CACHED, *_SETTLED),
)
EPOCHS_REFUSED = Scenario(
    "refused, restored", ticks=2, misfortunes=1, under_way=1, may=_may("restore")
)
OLD_EPOCHS = Scenario(
    "old epochs",
    ticks=2,
    lost=1,
    syncs=6,
    misfortunes=1,
    may=_may("restore"),
    begins=(
        *_LEASED,
        "a request",
        "sends Sync 2",
        *_SETTLED,
        "sends Sync 3",
        "session gone",
        "sends Sync 4",
        "hears of Sync 4",
    ),
)
_APPLIED_3 = (*_LEASED, "commits", "commits", "sends Sync 2", "hears of Sync 2")
_ALARMED = ("the books go back", "sends Sync 3", "hears of Sync 3: head 1")


def _gone_back(name: str, *begins: str) -> Scenario:
    # Before an alarm nobody can tell that the books went back, and nothing is promised.
    return Scenario(
        name,
        ticks=1,
        changes=(
            "+workspace suspended",
            "-workspace suspended",
            "+key revoked",
            "+imported disabled",
        ),
        syncs=5,
        misfortunes=1,
        under_way=1,
        may=_may("go back"),
        begins=(*_APPLIED_3, *begins),
    )


GONE_BACK = _gone_back("gone back", "a request", "hears that one is VALID", *_ALARMED)
GONE_BACK_ASKED = _gone_back("gone back, asked", "a request", *_ALARMED)
RESTORED_STOPS = Scenario(
    "restored, stopped", ticks=3, misfortunes=2, under_way=1, may=_may("restore", "crash")
)
RESTARTS = Scenario("restarts", ticks=3, misfortunes=1, syncs=2, under_way=1, may=_may("crash"))
STOPS = Scenario(
    "stops",
    ticks=3,
    misfortunes=2,
    syncs=3,
    under_way=1,
    may=_may("crash", "stop", "leave"),
    begins=_CACHED,
)
MARKED = Scenario(
    "marked",
    ticks=2,
    misfortunes=2,
    syncs=2,
    under_way=1,
    may=_may("crash", "stop", "leave"),
    begins=("grants nothing", "cleanly", "starts"),
)
CLOSING = Scenario("closing", ticks=2, misfortunes=1, syncs=2, under_way=1, may=_may("stop"))
SHRINKING = Scenario(
    "shrinking",
    ticks=4,
    lease=2.0,
    longest=2.0,
    changes=("lease 1", "+key revoked"),
    syncs=2,
    under_way=1,
)
ALLOWED = Scenario(
    "allowed",
    ticks=4,
    lease=2.0,
    longest=2.0,
    syncs=3,
    under_way=1,
    may=_may("allow"),
    begins=_CACHED,
)
REVIEWED = Scenario(
    "reviewed",
    ticks=3,
    syncs=3,
    under_way=1,
    processes=2,
    rows=True,
    may=_may("allow"),
    begins=(
        *_CACHED,
        "withdrawn",
        "process 0 reviews",
        "process 1 reviews",
        "second",
        "second",
        "process 0 reviews",
        "process 1 reviews",
        "process 1 settles",
        "lengthened",
    ),
)
LENGTHENED = Scenario(
    "lengthened",
    ticks=4,
    lease=1.0,
    longest=1.0,
    syncs=3,
    under_way=1,
    may=_may("allow", "split sync"),
    begins=(
        "sends Sync 1",
        "granted",
        "hears of Sync 1",
        "withdrawn",
        "reviews",
        "second",
        "second",
        "reviews",
        "settles",
        "a request",
        "hears that one is VALID",
    ),
)
FOREIGN = Scenario(
    "foreign",
    ticks=3,
    secrets=("foreign",),
    changes=("+imported", "+imported revoked"),
    under_way=1,
)
IMPORTS = Scenario(
    "imports",
    ticks=2,
    secrets=("foreign",),
    facts=frozenset({"foreign"}),
    changes=("*imported",),
    under_way=1,
)
CALLERS = Scenario(
    "callers", ticks=2, changes=("+caller0 revoked", "+key revoked"), may=_may("hold"), under_way=1
)
EXPIRING = Scenario(
    "expiring", ticks=4, lease=2.0, longest=2.0, changes=(), expires=3, syncs=2, under_way=1
)
PASSED_ON = _replicas(
    "passed on",
    ticks=4,
    lease=2.0,
    longest=2.0,
    changes=(),
    expires=3,
    begins=(*_OWN_CACHED, "second", "second", *_LEASED),
)

ALL = (
    LEASE,
    ABANDONED,
    SLOW,
    COMMITS,
    TOGETHER,
    WORKS_RUN,
    ROLLED_BACK,
    UNANSWERED,
    SPLIT,
    REJOINING,
    RENEWING,
    HELD,
    HELD_EPOCHS,
    REPEAT,
    PAIR,
    JANITOR,
    LEAVING,
    REUSED,
    AGAIN,
    PRUNED,
    WORKSPACES,
    SECRETS,
    JOINERS,
    FRESH,
    PLAIN,
    READING,
    REPLICAS,
    OVERTAKEN,
    NEWCOMERS,
    REFUSING,
    FAILOVER,
    EPOCHS,
    CUT,
    RESTORED,
    RESTORED_SHORTER,
    RESTORED_SECRETS,
    RESTORED_TWICE,
    EPOCHS_REFUSED,
    OLD_EPOCHS,
    GONE_BACK,
    GONE_BACK_ASKED,
    RESTORED_STOPS,
    RESTARTS,
    STOPS,
    MARKED,
    CLOSING,
    SHRINKING,
    ALLOWED,
    REVIEWED,
    LENGTHENED,
    FOREIGN,
    IMPORTS,
    CALLERS,
    EXPIRING,
    PASSED_ON,
)
