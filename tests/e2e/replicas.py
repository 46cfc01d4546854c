"""Three authorities over one PostgreSQL database, each behind a cable of its own, and gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from keyauthority.base.process.files import write_private
from tests.e2e.cable import Cable, cable
from tests.e2e.operator import Operator, operating
from tests.e2e.processes import Process
from tests.postgres import new_database

REPLICAS = 3
NOWHERE = "http://127.0.0.1:9"


class Replicas:
    """The processes and the cables from the authorities to their database. Made by `replicas`."""

    def __init__(self, folder: Path, stack: AsyncExitStack, database: str) -> None:
        self.folder = folder
        self.cables: list[Cable] = [stack.enter_context(cable()) for _ in range(REPLICAS)]
        self._stack = stack
        before, _, after = database.partition("@")
        where, _, name = after.partition("/")
        self.authorities: list[Process] = []
        for number, one in enumerate(self.cables, 1):
            one.target = int(where.rpartition(":")[2])
            url = f"{before}@127.0.0.1:{one.port}/{name}"
            self.authorities.append(self._authority(number, url))
            self.authorities[0].port()
        self.ports = [authority.port() for authority in self.authorities]
        self.addresses = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        token = (folder / "data" / "root.token").read_text().strip()
        # Through the last one, which stays well in most tests.
        address = f"127.0.0.1:{self.ports[-1]}"
        self.operator: Operator = stack.enter_context(operating(address, token))
        write_private(folder / "gateway.token", self.operator.verifier_token("gateway") + "\n")

    def gateway(self, *flags: str, name: str = "gateway") -> int:
        """Starts one that knows all the authorities and has no upstream; its port."""
        usual = ["--listen", "127.0.0.1:0", "--authority", self.addresses, "--grace", "1"]
        usual += ["--token-file", str(self.folder / "gateway.token"), "--upstream", NOWHERE]
        return self._start("gateway", *usual, *flags, name=name).port()

    def _authority(self, number: int, database: str) -> Process:
        command = ["--data-dir", str(self.folder / "data"), "serve", "--listen", "127.0.0.1:0"]
        command += ["--database", database]
        return self._start("keyauthority", *command, name=f"authority-{number}")

    def _start(self, module: str, *arguments: str, name: str) -> Process:
        process = Process(self.folder / "logs", module, *arguments, name=name)
        self._stack.callback(process.stop)
        return process


@asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[Replicas]:
    """They are running, with a new database."""
    database = (await new_database()).reveal()
    async with AsyncExitStack() as stack:
        made = await asyncio.to_thread(Replicas, folder, stack, database)
        try:
            yield made
        finally:
            for one in made.cables:
                one.mend()
