"""A program's run from its start to its stop."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from keyauthority.base.process.lifecycle import StartError, run_until_stopped


@pytest.mark.parametrize("failure", [None, StartError("the books can't be closed")])
async def test_after_a_run_garbage_is_collected_as_before(failure: StartError | None) -> None:
    """While it runs the objects of its start are left out; they are garbage after its stop."""
    frozen = []

    @asynccontextmanager
    async def running() -> AsyncIterator[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        yield 1
        frozen.append(gc.get_freeze_count())
        if failure is not None:
            raise failure

    with suppress(StartError):
        await run_until_stopped("program", running())

    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
