"""The small worlds that are searched, each for some of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.coherence.world import KEY_OF, WORKSPACE


@dataclass(frozen=True, slots=True)
class Scenario:
    """What there is in a world, and what may happen.

    `changes` are made in this order, each at any time and process: a fact with `+` or `-` before it.
    One with `*` is a creation, which nobody waits for. `may` names what else may happen;
    `misfortunes` is how often, of crashes and the like. `fresh` is a verifier without a cache.
    `expires` is the tick at which the key does, in a world whose clocks are exact.
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
    misfortunes: int = 0
    may: frozenset[str] = field(default_factory=frozenset)


def subject_of(change: str) -> str:
    """Whose change it is: a key's, the workspace's or a caller's."""
    name = change[1:].split()[0]
    if name == WORKSPACE or name in KEY_OF.values():
        return name
    return KEY_OF.get(name, name)


def _may(*what: str) -> frozenset[str]:
    return frozenset(what)


# What may happen comes at once to the authority, unless a world is `slow`.
LEASE = Scenario("lease", ticks=4, syncs=2, under_way=1)
ABANDONED = Scenario("abandoned", ticks=3, syncs=4)
SLOW = Scenario("slow", ticks=3, syncs=2, may=_may("slow", "slow commit"))
COMMITS = Scenario("commits", ticks=4, syncs=1, under_way=1, may=_may("slow commit"))
SPLIT = Scenario("split", ticks=3, syncs=2, under_way=1, may=_may("split sync"))
REPEAT = Scenario("repeat", ticks=3, syncs=2, under_way=1, may=_may("repeat"))
PAIR = Scenario("pair", ticks=3, verifiers=2, syncs=1, under_way=1)
JANITOR = Scenario("janitor", ticks=5, syncs=4, under_way=1, may=_may("janitor"))
LEAVING = Scenario(
    "leaving", ticks=3, syncs=3, under_way=1, misfortunes=1, may=_may("leave", "restart")
)
REUSED = Scenario(
    "reused", ticks=5, syncs=3, under_way=1, misfortunes=1, may=_may("janitor", "restart")
)
AGAIN = Scenario(
    "again",
    ticks=2,
    changes=("+key disabled", "-key disabled", "+key revoked"),
    syncs=4,
    under_way=1,
)
PRUNED = Scenario(
    "pruned", ticks=3, changes=("+key revoked", "+workspace suspended"), syncs=3, under_way=1,
    may=_may("prune"),
)
WORKSPACES = Scenario(
    "workspaces", ticks=3, changes=("+workspace suspended", "-workspace suspended"), under_way=1
)
SECRETS = Scenario(
    "secrets",
    ticks=2,
    secrets=("one", "two"),
    changes=("+one retired", "+key revoked"),
    syncs=2,
    under_way=1,
)
JOINERS = Scenario("joiners", ticks=3, waiters=3, syncs=2, under_way=1, may=_may("slow"))
FRESH = Scenario(
    "fresh", ticks=2, processes=2, rows=True, own_caches=True, fresh=True, waiters=2, own_syncs=2
)
REPLICAS = Scenario(
    "replicas",
    ticks=2,
    processes=2,
    rows=True,
    own_caches=True,
    syncs=2,
    own_syncs=2,
    under_way=1,
    misfortunes=1,
    may=_may("restart"),
)
READING = Scenario(
    "reading",
    ticks=2,
    processes=2,
    rows=True,
    own_caches=True,
    syncs=1,
    own_syncs=2,
    under_way=1,
    may=_may("split read"),
)
REPLICAS_SECRETS = Scenario(
    "replicas, secrets",
    ticks=1,
    processes=2,
    rows=True,
    own_caches=True,
    syncs=2,
    own_syncs=2,
    under_way=1,
    secrets=("one", "two"),
)
FAILOVER = Scenario(
    "failover",
    ticks=4,
    processes=2,
    rows=True,
    own_caches=True,
    syncs=1,
    own_syncs=1,
    under_way=1,
    misfortunes=1,
    may=_may("failover", "split read"),
)
EPOCHS = Scenario(
    "epochs",
    ticks=4,
    changes=("+workspace suspended", "-workspace suspended", "+key revoked"),
    syncs=4,
    misfortunes=1,
    under_way=1,
    may=_may("restore"),
)
EPOCHS_AGAIN = Scenario(
    "epochs, again",
    ticks=4,
    changes=("+workspace suspended", "-workspace suspended", "+key revoked"),
    misfortunes=2,
    under_way=1,
    may=_may("restore"),
)
EPOCHS_REFUSED = Scenario(
    "epochs, refused", ticks=4, misfortunes=1, under_way=1, may=_may("restore")
)
OLD_EPOCHS = Scenario("old epochs", ticks=3, misfortunes=1, may=_may("restore"))
RESTORED_STOPS = Scenario(
    "restored, stopped", ticks=4, misfortunes=2, under_way=1, may=_may("restore", "crash")
)
RESTARTS = Scenario(
    "restarts", ticks=5, misfortunes=2, syncs=2, under_way=1, may=_may("crash", "stop", "leave")
)
SHRINKING = Scenario(
    "shrinking",
    ticks=4,
    lease=2.0,
    longest=2.0,
    changes=("lease 1", "+key revoked"),
    syncs=2,
    under_way=1,
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
    "callers", ticks=3, changes=("+caller0 revoked", "+key revoked"), may=_may("hold"), under_way=1
)
EXPIRING = Scenario(
    "expiring",
    ticks=4,
    processes=2,
    rows=True,
    own_caches=True,
    changes=(),
    expires=3,
    syncs=2,
    own_syncs=2,
    under_way=1,
)

ALL = (
    LEASE,
    ABANDONED,
    SLOW,
    COMMITS,
    SPLIT,
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
    REPLICAS,
    READING,
    REPLICAS_SECRETS,
    FAILOVER,
    EPOCHS,
    EPOCHS_AGAIN,
    EPOCHS_REFUSED,
    OLD_EPOCHS,
    RESTORED_STOPS,
    RESTARTS,
    SHRINKING,
    FOREIGN,
    IMPORTS,
    CALLERS,
    EXPIRING,
)
