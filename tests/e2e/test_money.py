"""Real processes killed under load: the ledger and the upstream's own bill agree to the nano."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from keyauthority.client import Secret
from keyauthority.client.admin import BlockingAdminClient, ledger
from keyauthority.domain.ledger import Entry, EntryFilter, Kind
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1.ledger_service_pb2_grpc import LedgerServiceStub
from keyauthority.v1.price_pb2 import Price, Rates
from tests.e2e.bill import BROKEN, REFUSED, WHOLE, Line, upstream_running
from tests.e2e.edge import Edge, edge_running
from tests.e2e.processes import Process, eventually
from tests.ports import free_port
from tests.postgres import new_database

LONG = bool(os.environ.get("TEST_LONG"))
SECONDS = 300 if LONG else 12
CLIENTS = 24
GATEWAYS = 3
CREDITS = 1_000 * 10**9
INPUT, OUTPUT = 3_000_000_000, 15_000_000_000
"""Nano-credits per million tokens: whole nano-credits for each token."""

MODELS = ("test/json", "test/json", "test/stream", "test/stream", "test/broken", "test/refused")


class Installation:
    """Authority, gateways that share one folder of spools, and who calls them."""

    def __init__(self, edge: Edge, upstream_port: int, authorities: int) -> None:
        self.edge = edge
        self._ports = [free_port() for _ in range(authorities - 1)]
        self._others = {port: self._start_authority(port) for port in self._ports}
        self.spools = edge.folder / "spools"
        self.spools.mkdir()
        self.workspace = edge.operator.workspace()
        self.key, self.secret = edge.operator.issue(self.workspace)
        self._upstream = f"http://127.0.0.1:{upstream_port}"
        token = (edge.data_dir / "root.token").read_text().strip()
        self.admin = BlockingAdminClient(edge.operator.channel, Secret(token))
        rates = Rates(input=INPUT, output=OUTPUT)
        stub = LedgerServiceStub(edge.operator.channel)
        stub.SetPrices(
            v1.SetPricesRequest(prices=[Price(model="test/*", path="*", rates=rates)]),
            metadata=edge.operator.metadata,
            timeout=10,
        )
        self.admin.call(ledger.top_up(self.workspace, CREDITS, "purchase-1"))
        self.gateways = [self.start_gateway() for _ in range(GATEWAYS)]
        self.ports = [gateway.port() for gateway in self.gateways]

    def start_gateway(self) -> Process:
        addresses = [self.edge.address, *(f"127.0.0.1:{port}" for port in self._ports)]
        flags = ["--billing", "enforce", "--spool", str(self.spools)]
        flags += ["--authority", ",".join(addresses)]
        return self.edge.start_gateway("--upstream", self._upstream, *flags)

    def replace_gateway(self, number: int, how: signal.Signals) -> None:
        """Ends one, as *how* does, and starts another in its place."""
        self.gateways[number].send(how)
        self.gateways[number].wait()
        self.gateways[number] = self.start_gateway()
        self.ports[number] = self.gateways[number].port()

    def kill_authority(self) -> None:
        """Kills the last of them, and starts it again."""
        for port, process in self._others.items():
            process.send(signal.SIGKILL)
            self._others[port] = self._start_authority(port)
            return
        self.edge.authority.send(signal.SIGKILL)
        self.edge.recover_authority()
        self.edge.authority.port()

    def _start_authority(self, port: int) -> Process:
        flags = ["--listen", f"127.0.0.1:{port}"]
        arguments = ["--data-dir", str(self.edge.data_dir), "serve", *flags]
        process = Process(self.edge.logs, "keyauthority", *arguments, name=f"authority-{port}")
        self.edge.stop_at_end(process)
        process.port()
        return process

    def charges(self) -> list[Entry]:
        """All of them."""
        entries: list[Entry] = []
        which = EntryFilter(self.workspace, kind=Kind.CHARGE)
        token = ""
        while True:
            page = self.admin.call(ledger.page(which, size=1_000, token=token))
            entries += page.records
            token = page.next_page_token
            if not token:
                return entries

    def escrowed(self) -> int:
        return self.admin.call(ledger.balance(self.workspace)).escrowed


class Client:
    """Sends one request after another, to whichever gateway; leaves some of them."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self._installation = installation
        self._chance = random.Random(seed)
        self.statuses: Counter[int | str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {self._installation.secret}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not stop.is_set():
                await self._request(session)

    async def _request(self, session: aiohttp.ClientSession) -> None:
        port = self._chance.choice(self._installation.ports)
        model = self._chance.choice(MODELS)
        messages = [{"role": "user", "content": "Hello " * self._chance.randint(1, 50)}]
        body = {"model": model, "messages": messages, "stream": model != "test/json"}
        patience = self._chance.choice([5.0, 5.0, 5.0, 0.01, 0.06])
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        try:
            async with asyncio.timeout(patience), session.post(url, json=body) as response:
                await response.read()
                self.statuses[response.status] += 1
        except TimeoutError:
            self.statuses["left"] += 1
        except (aiohttp.ClientError, OSError):
            self.statuses["broken"] += 1
            await asyncio.sleep(0.02)


async def disturb(installation: Installation, stop: asyncio.Event) -> None:
    """Kills gateways and the authority, or has them stop, until there is an end."""
    chance = random.Random(7)
    edge = installation.edge
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), chance.uniform(0.5, 1.5))
            return
        what = chance.choice(["kill", "kill", "stop", "authority", "freeze", "freeze gateway"])
        if what == "authority":
            await asyncio.to_thread(installation.kill_authority)
        elif what == "freeze":
            edge.authority.send(signal.SIGSTOP)
            await asyncio.sleep(1)
            edge.authority.send(signal.SIGCONT)
        elif what == "freeze gateway":
            # For longer than a lease: it wakes up with slices that are spent no more.
            gateway = chance.choice(installation.gateways)
            gateway.send(signal.SIGSTOP)
            await asyncio.sleep(3.5)
            gateway.send(signal.SIGCONT)
        else:
            how = signal.SIGKILL if what == "kill" else signal.SIGTERM
            number = chance.randrange(GATEWAYS)
            await asyncio.to_thread(installation.replace_gateway, number, how)


def price(line: Line) -> int:
    return (line.prompt_tokens * INPUT + line.completion_tokens * OUTPUT) // 10**6


def compare(bill: dict[str, Line], charges: list[Entry]) -> Counter[str]:
    """Holds the ledger's charges against the upstream's bill; how many agree in which way."""
    agree: Counter[str] = Counter()
    charged = {entry.use.request_id: entry for entry in charges}
    assert len(charged) == len(charges), "a request was charged twice"
    for request_id, line in bill.items():
        assert line.arrivals == 1, "a request reached the upstream twice"
        entry = charged.pop(request_id, None)
        if entry is None:
            # What broke off before the gateway had read that it was refused is charged as held.
            assert line.ending == REFUSED, f"{line} is on the bill only"
            agree["refused, not charged"] += 1
        elif entry.use.estimated:
            assert 0 <= -entry.amount <= entry.use.held, entry
            agree[f"{line.ending}, estimated"] += 1
        else:
            assert line.ending == WHOLE, f"{line} is charged {entry.amount}"
            assert -entry.amount == price(line), (entry, line)
            agree["to the nano"] += 1
    for entry in charged.values():
        # Held, and caught before it was sent: nobody can know.
        assert entry.use.estimated, entry
        assert -entry.amount <= entry.use.held
        agree["never arrived, estimated"] += 1
    return agree


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("authorities", [1, 2])
async def test_whatever_dies_the_ledger_and_the_bill_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authorities: int
) -> None:
    """Gateways and authorities are killed, frozen and stopped; clients leave, streams break.

    One authority has a SQLite file, two share a PostgreSQL database.
    """
    if authorities > 1:
        monkeypatch.setenv("KEYAUTHORITY_DATABASE", (await new_database()).reveal())
    async with upstream_running() as upstream:
        with edge_running(tmp_path) as edge:
            installation = await asyncio.to_thread(Installation, edge, upstream.port, authorities)
            clients = [Client(installation, seed) for seed in range(CLIENTS)]
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(client.run(stop))
                group.create_task(disturb(installation, stop))
                await asyncio.sleep(SECONDS)
                stop.set()
            statuses = sum((client.statuses for client in clients), Counter())
            await asyncio.to_thread(end, installation)

            charges = await asyncio.to_thread(installation.charges)
            agree = compare(upstream.bill, charges)
            proof = await asyncio.to_thread(
                installation.admin.call, ledger.verify(installation.workspace)
            )
    assert proof.faults == ()
    assert proof.account.balance == CREDITS + sum(entry.amount for entry in charges)
    assert agree["to the nano"] > 100, (agree, statuses)
    assert agree[f"{BROKEN}, estimated"] > 0, (agree, statuses)
    # Those whose clients waited for the refusal; charged are only some that died meanwhile.
    assert agree["refused, not charged"] >= statuses[500], (agree, statuses)
    assert statuses[402] == 0, statuses


def end(installation: Installation) -> None:
    """Every gateway stops; one more takes what the killed ones left; nothing is held any more."""
    for gateway in installation.gateways:
        gateway.stop()
    last = installation.start_gateway()
    last.port()
    eventually("no spool is without an owner", lambda: installation.escrowed() == 0)
    last.stop()
