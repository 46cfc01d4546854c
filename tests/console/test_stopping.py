"""Stopping a console in the middle of its work."""

from __future__ import annotations

import signal
import socket
import time
from urllib.parse import urlencode

from console import security
from console.security import SESSION
from tests.console.living import Console
from tests.e2e.processes import eventually


def test_a_change_under_way_is_ended_though_its_browser_left(own_console: Console) -> None:
    """A revocation that waits for a frozen gateway is made, and noted, before the console is gone."""
    edge = own_console.edge
    owner = own_console.first_owner()
    workspace = own_console.new_workspace(owner, "Stopping")
    key, secret = edge.operator.issue(workspace)
    path = f"/workspaces/{workspace}/keys/{key.id}/revoke"
    body = urlencode(
        {
            "csrf": security.form_token(owner.cookies[SESSION]),
            "reason": "unused",
            "note": "stopping",
        }
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{own_console.port}\r\n"
        f"Cookie: {SESSION}={owner.cookies[SESSION]}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    edge.gateway.send(signal.SIGSTOP)
    try:
        with socket.create_connection(("127.0.0.1", own_console.port)) as browser:
            begun = time.monotonic()
            browser.sendall((head + body).encode())
            eventually("the authority has it", lambda: edge.operator.is_revoked(key.id))
        assert own_console.stop() == 0
        # It waited for the answer: the fence waits until the frozen gateway's lease of 3 s is over, which
        # it asked for up to a second before.
        assert time.monotonic() - begun > 2
    finally:
        edge.gateway.send(signal.SIGCONT)
    [told] = [
        line
        for line in own_console.process.log()
        if line.get("page", "").endswith("/revoke") and line.get("method") == "POST"
    ]
    assert told["status"] == 200
    assert edge.operator.verify(secret) == "VERDICT_REVOKED"
    eventually("the gateway is back", lambda: edge.operator.verifiers() >= 2)


def test_it_stops_in_order_and_starts_again_with_its_people(own_console: Console) -> None:
    """Sign-ins outlive a restart, since they are in its books."""
    owner = own_console.first_owner()
    assert own_console.stop() == 0
    said = [line["event"] for line in own_console.process.log()]
    assert said[-2:] == ["stopping", "stopped"]
    own_console.start()
    assert owner.get("/account").status == 200
