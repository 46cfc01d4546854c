"""`--billing observe` counts and changes nothing; the metrics of both; the start without prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner
from structlog.testing import capture_logs

from gateway.cli import main
from tests.billing.conftest import StartGateway
from tests.billing.parts import Account, Books, Client, Upstream, cost, events, question
from tests.ports import free_port
from tests.rpc.parts import Authority, eventually


async def metrics(http: ClientSession, listen: str) -> dict[str, float]:
    async with http.get(f"http://{listen}/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_observing_counts_what_would_be_charged(
    start_gateway: StartGateway, http: ClientSession, books: Books, upstream: Upstream
) -> None:
    """It holds, charges and refuses nothing, and needs no spool."""
    listen = f"127.0.0.1:{free_port()}"
    url = await start_gateway(billing="observe", spool=None, metrics_listen=listen)
    account = await books.account(0)
    client = Client(http, url, account)

    status, headers, _ = await client.chat(max_tokens=5)
    assert (status, "x-opentoken-cost" in headers) == (200, False)
    _, _, body = await client.chat(stream=True, max_tokens=5)
    assert body == b"".join(events((11, 5), with_usage=False))
    for unpriced in (question(model="other"), {"model": 5}):
        text = json.dumps(unpriced).encode()
        await client.send(text)
        assert upstream.bodies[-1] == text

    numbers = await metrics(http, listen)
    assert numbers['gateway_observed_charges_total{kind="usage"}'] == 2
    assert numbers['gateway_observed_charged_credits_total{kind="usage"}'] == pytest.approx(
        2 * cost(11, 5) / 10**9
    )
    assert numbers["gateway_observed_unpriced_total"] == 2
    assert (await account.balance()).balance_nano_credits == 0


async def test_the_metrics_say_what_is_held_and_charged(
    start_gateway: StartGateway, http: ClientSession, account: Account
) -> None:
    """Nothing of it names a workspace, a key or a model."""
    listen = f"127.0.0.1:{free_port()}"
    client = Client(http, await start_gateway(metrics_listen=listen), account)
    await client.chat(max_tokens=5)
    await client.chat(model="other")
    await account.charges(1)

    async def is_settled() -> bool:
        return (await metrics(http, listen))["gateway_spool_charges"] == 0

    await eventually(is_settled)
    numbers = await metrics(http, listen)
    assert numbers['gateway_charges_total{kind="usage"}'] == 1
    assert numbers['gateway_charges_total{kind="estimated"}'] == 0
    assert numbers["gateway_holds"] == 0
    assert numbers["gateway_settle_seconds_count"] >= 1
    assert numbers['gateway_requests_total{outcome="model_not_priced"}'] == 1
    text = "".join(numbers)
    assert account.workspace_id not in text
    assert account.key_id not in text


async def test_a_start_without_prices_says_what_to_do(
    authority: Authority, start_unpriced: StartGateway
) -> None:
    """In one line of the log, with the command."""
    with capture_logs() as lines:
        await start_unpriced()

    [line] = [line for line in lines if line["event"] == "no_prices"]
    assert (line["log_level"], "keyauthority prices set" in line["do"]) == ("warning", True)


async def test_spools_can_be_read_meanwhile(client: Client, account: Account, spool: Path) -> None:
    """By the operator, with the gateway's command."""
    await client.chat(max_tokens=5)
    charge = await account.charge()
    result = CliRunner().invoke(main, ["spool", "show", str(spool)])

    assert result.exit_code == 0
    assert charge.reference in result.stdout
    missing = CliRunner().invoke(main, ["spool", "show", str(spool / "missing")])
    assert (missing.exit_code, "is no folder" in missing.stderr) == (1, True)
