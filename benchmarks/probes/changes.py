"""How long changes take that many callers make at once.

PLAN.json: `addresses`, `token_file`, `callers`, `warm_up`, and `issue` (the workspace and a number) or
`revoke` (ids of keys). Each caller makes one change at a time, all in turn, at the addresses in turn.
Prints the `seconds` that all took but the first `warm_up`, the seconds of each (`latencies`), the
`secrets` of the keys that were issued, by their ids, and how many `sessions` each revocation waited for
at least.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.authority import SETTINGS
from benchmarks.probes import read_plan
from keyauthority.client import connect, load_token
from keyauthority.client.admin import AdminClient, Call, Changed, IssuedKey, Key, KeyState, keys


@dataclass(frozen=True, slots=True)
class Made:
    """A change: the seconds it took, its key, the secret of a new one, the sessions waited for."""

    seconds: float
    key_id: str
    secret: str = field(repr=False)
    sessions: int


def _calls(plan: dict[str, Any]) -> list[Call[Any]]:
    if "issue" in plan:
        workspace_id, count = plan["issue"]
        return [*repeat(keys.issue(workspace_id, SETTINGS), count)]
    return [keys.revoke(key_id) for key_id in plan["revoke"]]


async def _measure(plan: dict[str, Any]) -> dict[str, Any]:
    token, calls, warm_up = load_token(Path(plan["token_file"])), _calls(plan), plan["warm_up"]
    async with AsyncExitStack() as stack:
        clients = [
            AdminClient(await stack.enter_async_context(connect(address)), token)
            for address in plan["addresses"]
        ]
        callers = [*islice(cycle(clients), plan["callers"])]
        first = await _make(callers, calls[:warm_up])
        start = time.perf_counter()
        others = await _make(callers, calls[warm_up:])
        seconds = time.perf_counter() - start
    made = [*first, *others]
    return {
        "seconds": seconds,
        "latencies": [one.seconds for one in others],
        "secrets": {one.key_id: one.secret for one in made},
        "sessions": min(one.sessions for one in made),
    }


async def _make(callers: Sequence[AdminClient], calls: Sequence[Call[Any]]) -> list[Made]:
    waiting, made = iter(calls), list[Made]()
    await asyncio.gather(*(_one_by_one(caller, waiting, made) for caller in callers))
    return made


async def _one_by_one(caller: AdminClient, waiting: Iterator[Call[Any]], made: list[Made]) -> None:
    for call in waiting:
        start = time.perf_counter()
        result = await caller.call(call)
        made.append(_made(time.perf_counter() - start, result))


def _made(seconds: float, result: IssuedKey | Changed[Key]) -> Made:
    if isinstance(result, IssuedKey):
        return Made(seconds, result.key.id, result.secret.reveal(), 0)
    if result.record.state is not KeyState.REVOKED:
        raise SystemExit("a key was not revoked")
    receipt = result.receipt
    waited_for = receipt.sessions_acknowledged + receipt.leases_waited_out
    return Made(seconds, result.record.id, "", waited_for)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_measure(read_plan()))))
