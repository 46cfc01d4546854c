"""Revoking a key: it asks why, and says in plain words how far it has spread."""

from __future__ import annotations

import re
import signal
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from console.people import Role
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from tests.console.keys_in_it import key_of, made_key
from tests.console.people_in_it import Cast
from tests.e2e.edge import Edge
from tests.e2e.processes import eventually
from tests.e2e.questions import ask


def revoke_path(cast: Cast, key_id: str) -> str:
    return f"/workspaces/{cast.workspace}/keys/{key_id}/revoke"


async def test_a_revoked_key_stops_everywhere_before_the_page_is_there(cast: Cast) -> None:
    """The gateway has just accepted the key from its memory; after the page it refuses it."""
    browser = await cast.visitor(Role.MEMBER)
    edge = cast.console.edge
    key, secret = edge.operator.issue(cast.workspace)
    assert await ask(edge.port, secret) == 200
    path = revoke_path(cast, key.id)
    shown = browser.submit(browser.get(path), path, reason="compromised", note="seen in a log")
    assert await ask(edge.port, secret) == 401
    assert re.search(r"Stopped everywhere in [\d.]+ m?s\. \d verifiers? confirmed\.", shown.text)
    assert "What to do next" in shown.text


async def test_the_reason_is_kept_where_others_look(cast: Cast) -> None:
    """The key's page tells who did it, when and why, and no end that means nothing now."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    path = revoke_path(cast, key.id)
    browser.submit(browser.get(path), path, reason="unused", note="the project ended")
    told = browser.get(path.removesuffix("/revoke")).text
    assert "the project ended" in told
    assert "Nothing uses it any more" in told
    assert f"by {person.email}." in told
    assert "Expires" not in told
    entries = browser.get(f"/workspaces/{cast.workspace}/activity?subject={key.id}").text
    assert f"{person.email} revoked the key" in entries


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"reason": "unused", "note": ""}, "Say in a few words"),
        ({"reason": "", "note": "because"}, "Choose why"),
        ({"reason": "nonsense", "note": "because"}, "Choose why"),
        ({"reason": "unused", "note": "x" * 501}, "500"),
    ],
)
async def test_what_is_missing_is_said_beside_it_and_nothing_is_revoked(
    typed: dict[str, str], error: str, cast: Cast
) -> None:
    """The form comes back with what was typed, the error tied to its field, and the key works."""
    browser = await cast.visitor(Role.MEMBER)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    path = revoke_path(cast, key.id)
    shown = browser.submit(browser.get(path), path, **typed)
    assert shown.status == 422
    assert error in shown.text
    assert 'aria-describedby="' in shown.html
    assert ("note", typed["note"]) in shown.form(path).fields
    assert not cast.console.edge.operator.is_revoked(key.id)


async def test_a_note_of_several_lines_is_kept(cast: Cast) -> None:
    """As browsers send them: an end of line is two characters there, and one here."""
    browser = await cast.visitor(Role.MEMBER)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    path = revoke_path(cast, key.id)
    note = "seen in a log\r\n" + "x" * 486
    shown = browser.submit(browser.get(path), path, reason="compromised", note=note)
    assert shown.status == 200, shown.text
    assert cast.console.edge.operator.is_revoked(key.id)


async def test_who_revoked_a_key_by_other_ways_is_told_too(cast: Cast) -> None:
    """The operator by the command, and whoever had the secret in hand; each by their name."""
    browser = await cast.visitor(Role.VIEWER)
    operator = cast.console.edge.operator
    (one, _), (two, secret) = operator.issue(cast.workspace), operator.issue(cast.workspace)
    operator.revoke(one.id)
    stub = VerificationServiceStub(operator.channel)
    request = verification.RevokePresentedRequest(secret=secret, note="found on the street")
    stub.RevokePresented(request, metadata=operator.metadata, timeout=10)
    for key in (one, two):
        assert "by root." in browser.get(f"/workspaces/{cast.workspace}/keys/{key.id}").text


async def test_a_secret_in_the_note_is_not_kept(cast: Cast) -> None:
    """Who pastes what leaked is told to leave it out, and it isn't even sent back."""
    browser = await cast.visitor(Role.MEMBER)
    key, secret = cast.console.edge.operator.issue(cast.workspace)
    path = revoke_path(cast, key.id)
    note = f"found this: {secret} in a log"
    shown = browser.submit(browser.get(path), path, reason="compromised", note=note)
    assert shown.status == 422
    assert "This contains a key’s secret" in shown.text
    assert secret not in shown.html
    assert not cast.console.edge.operator.is_revoked(key.id)


async def test_a_replacement_begins_with_the_old_name(cast: Cast) -> None:
    """Its scopes too, or it would be let do more; the key's own page leads there as well."""
    browser = await cast.visitor(Role.MEMBER)
    key_id, _ = made_key(cast, browser, "test", scopes="chat:write models:read")
    key = key_of(cast.console.edge, key_id)
    path = revoke_path(cast, key.id)
    shown = browser.submit(browser.get(path), path, reason="compromised", note="leaked")
    href = re.search(r'href="([^"]*/keys/new\?[^"]*)"', shown.html)
    assert href is not None
    assert parse_qs(urlsplit(unescape(href[1])).query) == {
        "name": ["test"],
        "scopes": ["chat:write models:read"],
    }
    assert href[1] in browser.get(f"/workspaces/{cast.workspace}/keys/{key_id}").html
    replacing = browser.get(unescape(href[1]))
    assert "the scopes of the key it replaces" in replacing.text
    empty = browser.get(f"/workspaces/{cast.workspace}/keys/new")
    assert "the key it replaces" not in empty.text
    form = replacing.form(f"/workspaces/{cast.workspace}/keys/new")
    chosen = {("access", "limited"), ("scope", "chat:write"), ("scope", "models:read")}
    assert {("name", "test"), *chosen} <= set(form.fields)


async def test_revoking_twice_is_no_error_and_changes_nothing(cast: Cast) -> None:
    """A reload of the receipt shows a receipt; the first reason stays."""
    browser = await cast.visitor(Role.MEMBER)
    key, _ = cast.console.edge.operator.issue(cast.workspace)
    path = revoke_path(cast, key.id)
    page = browser.get(path)
    browser.submit(page, path, reason="unused", note="first")
    again = browser.submit(page, path, reason="policy", note="second")
    assert again.status == 200
    told = browser.get(path.removesuffix("/revoke")).text
    assert "first" in told
    assert "second" not in told


async def test_a_verifier_that_cannot_be_reached_is_waited_out(cast: Cast, edge: Edge) -> None:
    """With the gateway frozen the page takes as long as its lease lasts, and says so."""
    browser = await cast.visitor(Role.MEMBER)
    key, secret = edge.operator.issue(cast.workspace)
    assert await ask(edge.port, secret) == 200
    path = revoke_path(cast, key.id)
    page = browser.get(path)
    edge.gateway.send(signal.SIGSTOP)
    try:
        shown = browser.submit(page, path, reason="compromised", note="leaked")
    finally:
        edge.gateway.send(signal.SIGCONT)
    assert re.search(r"Stopped everywhere in \d\.\d s\.", shown.text)
    assert "1 verifier could not be reached, so we waited" in shown.text
    assert await ask(edge.port, secret) == 401
    eventually("the gateway is back", lambda: edge.operator.verifiers() >= 2)
