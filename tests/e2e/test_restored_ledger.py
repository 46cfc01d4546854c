"""The books are lost, and an older backup is put back: exports and spools make the ledger whole again."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.client.admin import ledger
from tests.e2e import processes
from tests.e2e.bill import WHOLE, Line, upstream_running
from tests.e2e.edge import Edge, edge_running
from tests.e2e.processes import PATIENCE
from tests.e2e.test_books_that_went_back import back_up
from tests.e2e.test_money import CREDITS, Client, Installation, compare, end
from tests.postgres import copy_of, new_database, put_in_place
from tests.rpc.parts import eventually

REQUESTS = 25
CLIENTS = 4
MORE = 7 * 10**9


class FileBackup:
    """A backup of a SQLite file."""

    def __init__(self, edge: Edge, folder: Path) -> None:
        self._edge, self._folder = edge, folder

    def take(self) -> None:
        """Copies the books of a stopped authority, which then goes on."""
        back_up(self._edge, self._folder)

    def put_back(self) -> None:
        """Puts the copy in the place of the books."""
        for file in self._edge.data_dir.glob("keyauthority.db*"):
            file.unlink()
        for file in self._folder.iterdir():
            shutil.copy2(file, self._edge.data_dir)


class DatabaseBackup:
    """A backup of a PostgreSQL database."""

    def __init__(self, edge: Edge, url: PostgresUrl) -> None:
        self._edge, self._url = edge, url

    def take(self) -> None:
        """Copies the books of a stopped authority, which then goes on."""
        assert self._edge.authority.stop() == 0
        self._copy = asyncio.run(copy_of(self._url))
        self._edge.authority = self._edge.start_authority()
        self._edge.authority.port()

    def put_back(self) -> None:
        """Puts the copy in the place of the books."""
        asyncio.run(put_in_place(self._copy, self._url))


class Operating:
    """The command line beside an installation, and the restore of its books."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.edge = installation.edge

    def cli(self, *arguments: str) -> str:
        """What a command says that goes well."""
        where = ["--data-dir", str(self.edge.data_dir), "--address", self.edge.address]
        command = [sys.executable, "-m", "keyauthority", *where, *arguments]
        # A restore waits for leases beside.
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=3 * PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def export(self, folder: Path) -> list[str]:
        """Exports the audit, and the ledger; the options that replay them."""
        audit, entries = str(folder / "audit.jsonl"), str(folder / "ledger.jsonl")
        self.cli("audit", "export", "--output", audit)
        workspace = self._installation.workspace
        self.cli("ledger", "export", workspace, "--all", "--output", entries)
        return ["--replay", audit, "--replay", entries]

    def restore(self, backup: FileBackup | DatabaseBackup, *replay: str) -> str:
        """Puts the backup in the place of the books; what the command says."""
        assert self.edge.authority.stop() == 0
        backup.put_back()
        said = self.cli("db", "restore-epoch", *replay)
        self.edge.authority = self.edge.start_authority()
        self.edge.authority.port()
        return said

    async def spend(self, seed: int) -> None:
        """Some requests of every kind, through all gateways."""
        stop = asyncio.Event()
        clients = [Client(self._installation, seed + number) for number in range(CLIENTS)]

        async def are_enough() -> bool:
            return min(client.statuses.total() for client in clients) >= REQUESTS

        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run(stop))
            await eventually(are_enough)
            stop.set()

    def lacks(self, bill: Mapping[str, Line]) -> set[str]:
        """The requests on the bill that were answered whole, and are not charged yet."""
        charged = {entry.use.request_id for entry in self._installation.charges()}
        return {name for name, line in bill.items() if line.ending == WHOLE} - charged

    def counted(self, name: str) -> int:
        """A count of the authority's, since it started."""
        with urlopen(f"http://127.0.0.1:{self.edge.metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        [line] = [line for line in lines if line.startswith(f"keyauthority_{name} ")]
        return int(float(line.rpartition(" ")[2]))


def entered_again(said: str) -> int:
    """How many entries the backup had lost, as the command says."""
    [number] = re.findall("Entered again: ([0-9,]+) entr", said)
    return int(number.replace(",", ""))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_exports_and_spools_bring_back_what_a_backup_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """To the nano, and nothing twice: some of it is in the export, some only in the spools."""
    url = await new_database() if database == "postgres" else None
    if url is not None:
        monkeypatch.setenv("KEYAUTHORITY_DATABASE", url.reveal())
    async with upstream_running() as upstream:
        with edge_running(tmp_path) as edge:
            installation = await asyncio.to_thread(Installation, edge, upstream.port, 1)
            operating = Operating(installation)
            backup = DatabaseBackup(edge, url) if url else FileBackup(edge, tmp_path / "backup")
            await operating.spend(1)
            await asyncio.to_thread(backup.take)
            await operating.spend(100)
            installation.admin.call(ledger.top_up(installation.workspace, MORE, "purchase-2"))
            installation.admin.call(ledger.adjust(installation.workspace, -1, "why", reference="a"))
            replay = await asyncio.to_thread(operating.export, tmp_path)
            await operating.spend(200)

            said = await asyncio.to_thread(operating.restore, backup, *replay)

            assert entered_again(said) > 20
            await operating.spend(300)
            await asyncio.to_thread(
                processes.eventually,
                "the spools brought what the export lacks",
                lambda: operating.lacks(upstream.bill) == set(),
            )
            await asyncio.to_thread(end, installation)
            charges = await asyncio.to_thread(installation.charges)
            agree = compare(upstream.bill, charges)
            proof = await asyncio.to_thread(
                installation.admin.call, ledger.verify(installation.workspace)
            )
            verified = await asyncio.to_thread(operating.cli, "ledger", "verify")
            entered, known = (
                operating.counted(f'charges_total{{state="{state}"}}')
                for state in ("ENTERED", "KNOWN")
            )
            differing = operating.counted("charges_differing_total")
    assert proof.faults == ()
    assert verified.startswith("All add up. ")
    assert proof.account.balance == CREDITS + MORE - 1 + sum(one.amount for one in charges)
    assert proof.account.escrowed == 0
    # What the spools brought: what neither the backup nor the export had, and what one of them had.
    assert entered > 20
    assert known > 20
    assert differing == 0
    assert agree["to the nano"] > 50, agree
