"""A whole run with secrets of which no trace may be left anywhere but where they belong."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.domain import secrets
from keyauthority.v1 import audit_service_pb2 as audit
from keyauthority.v1 import caller_service_pb2 as callers
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import operations_service_pb2 as operations
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from keyauthority.v1.audit_service_pb2_grpc import AuditServiceStub
from keyauthority.v1.caller_service_pb2_grpc import CallerServiceStub
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub
from tests.e2e.canaries import Eavesdropper, Search, forms
from tests.e2e.edge import UPSTREAM_KEY, Edge, edge_running
from tests.e2e.operator import Operator
from tests.e2e.processes import Process, run

FOREIGN = "not-one-of-ours-but-somebodys-secret-all-the-same"
IMPORTED = "minted-elsewhere-and-then-taken-over-by-the-authority"


def typo(secret: str) -> str:
    """*secret* with one letter wrong, in the middle."""
    wrong = "x" if secret[40] != "x" else "y"
    return secret[:40] + wrong + secret[41:]


def unknown() -> str:
    return secrets.mint(secrets.new_id("key")).reveal()


class Run:
    """The run: what is hidden in it, and what it leaves behind."""

    def __init__(self, edge: Edge, search: Search) -> None:
        self.edge, self.search = edge, search
        channel = grpc.intercept_channel(edge.operator.channel, Eavesdropper(search))
        self.channel = channel
        root = (edge.data_dir / "root.token").read_text().strip()
        self.operator = Operator(channel, root)
        search.hide("root token", root)
        search.hide("verifier token", edge.verifier_token)
        search.hide("upstream credential", UPSTREAM_KEY)

    def hide(self, name: str, secret: str) -> str:
        self.search.hide(name, secret)
        return secret

    def attempt(self, stub: Callable[..., Any], request: Any, token: str | None = None) -> None:
        """Calls as *token*'s caller (the operator's by default); failing is fine."""
        metadata = self.operator.metadata if token is None else authorization(token)
        with suppress(grpc.RpcError):
            stub(request, metadata=metadata, timeout=10)


def authorization(token: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)


def live_and_die(run: Run) -> list[str]:
    """Keys in every state a key can be in. Returns secrets, the first of which is good."""
    operator = run.operator
    workspace, other = operator.workspace("canary"), operator.workspace("suspended")
    good, first = operator.issue(workspace)
    revoked, gone = operator.issue(workspace)
    _, over = operator.issue(workspace, lasting=timedelta(milliseconds=50))
    _, suspended = operator.issue(other)
    second = operator.rotate(good.id, timedelta(hours=1))
    third = operator.rotate(good.id)
    operator.revoke(revoked.id)
    operator.suspend(other)
    taken = keys.ImportedKey(secret=IMPORTED, name="taken over")
    imports = keys.ImportKeysRequest(workspace_id=workspace, keys=[taken])
    KeyServiceStub(run.channel).ImportKeys(imports, metadata=operator.metadata, timeout=10)
    return [
        run.hide(name, secret)
        for name, secret in {
            "live": third,
            "rotated out": first,
            "rotated out too": second,
            "revoked": gone,
            "expired": over,
            "suspended": suspended,
            "unknown": unknown(),
            "mistyped": typo(third),
            "foreign": FOREIGN,
            "imported": IMPORTED,
        }.items()
    ]


def ask_the_authority(run: Run, presented: list[str]) -> None:
    """Every method that is given a secret or tells of keys, in good order and in bad."""
    verifying, key_service = VerificationServiceStub(run.channel), KeyServiceStub(run.channel)
    caller_service = CallerServiceStub(run.channel)
    for secret in presented:
        run.attempt(verifying.Verify, verification.VerifyRequest(secret=secret))
        run.attempt(key_service.LookupKey, keys.LookupKeyRequest(secret=secret))
        # Put where an id, a name, a note or a page token belongs.
        run.attempt(key_service.GetKey, keys.GetKeyRequest(key_id=secret))
        run.attempt(key_service.RevokeKey, keys.RevokeKeyRequest(key_id=secret))
        run.attempt(key_service.RotateKey, keys.RotateKeyRequest(key_id=secret))
        run.attempt(key_service.ListKeys, keys.ListKeysRequest(page_token=secret))
        run.attempt(key_service.ListKeys, keys.ListKeysRequest(workspace_id=secret))
        run.attempt(key_service.IssueKey, keys.IssueKeyRequest(workspace_id=secret, name="n"))
        masked = keys.UpdateKeyRequest(update_mask=FieldMask(paths=[secret]))
        run.attempt(key_service.UpdateKey, masked)
        run.attempt(caller_service.RevokeCaller, callers.RevokeCallerRequest(caller_id=secret))
    unreachable = verification.VerifyRequest(secret=presented[0], at_least_revision=1 << 40)
    run.attempt(verifying.Verify, unreachable)
    run.attempt(verifying.BatchVerify, verification.BatchVerifyRequest(secrets=presented))
    too_many = verification.BatchVerifyRequest(secrets=[*presented * 112])
    run.attempt(verifying.BatchVerify, too_many)
    oversize = verification.VerifyRequest(secret=presented[0] * 200_000)
    run.attempt(verifying.Verify, oversize)


def list_everything(run: Run) -> None:
    """Page by page."""
    listings: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        (KeyServiceStub(run.channel).ListKeys, keys.ListKeysRequest),
        (WorkspaceServiceStub(run.channel).ListWorkspaces, workspaces.ListWorkspacesRequest),
        (CallerServiceStub(run.channel).ListCallers, callers.ListCallersRequest),
        (AuditServiceStub(run.channel).ListAuditEntries, audit.ListAuditEntriesRequest),
    ]
    for listing, request in listings:
        token = ""
        while True:
            page = listing(
                request(page_size=3, page_token=token),
                metadata=run.operator.metadata,
                timeout=10,
            )
            token = page.next_page_token
            if not token:
                break
    peppers = OperationsServiceStub(run.channel)
    run.attempt(peppers.ListPeppers, operations.ListPeppersRequest())


def repeat_and_rotate_peppers(run: Run) -> None:
    """A sealed answer is asked for twice, with a new pepper between."""
    workspace = run.operator.workspace("retries")
    request = keys.IssueKeyRequest(workspace_id=workspace, name="retry", request_id="twice")
    service = KeyServiceStub(run.channel)
    first = service.IssueKey(request, metadata=run.operator.metadata, timeout=10)
    run.hide("issued twice", first.secret)
    peppers = OperationsServiceStub(run.channel)
    run.attempt(peppers.AddPepper, operations.AddPepperRequest())
    run.attempt(peppers.ActivatePepper, operations.ActivatePepperRequest(version=2))
    again = service.IssueKey(request, metadata=run.operator.metadata, timeout=10)
    assert again.secret == first.secret
    run.attempt(peppers.RetirePepper, operations.RetirePepperRequest(version=1))


def call_with_wrong_tokens(run: Run, presented: list[str]) -> None:
    """Mistyped, unknown, revoked, of the wrong kind, lacking the role."""
    service = CallerServiceStub(run.channel)
    request = callers.CreateCallerRequest(name="short-lived", roles=[callers.CALLER_ROLE_ISSUER])
    created = service.CreateCaller(request, metadata=run.operator.metadata, timeout=10)
    revoke = callers.RevokeCallerRequest(caller_id=created.caller.id)
    run.attempt(service.RevokeCaller, revoke)
    stranger = secrets.mint(secrets.new_id("caller"), secrets.TOKEN_PREFIX).reveal()
    tokens = {
        "revoked token": created.token,
        "mistyped token": typo(run.edge.verifier_token),
        "unknown token": stranger,
    }
    for name, token in tokens.items():
        run.hide(name, token)
    for token in (*tokens.values(), run.edge.verifier_token, *presented):
        run.attempt(service.ListCallers, callers.ListCallersRequest(), token)
    answers = KeyServiceStub(run.channel)
    with suppress(grpc.RpcError):
        answers.GetKey(keys.GetKeyRequest(), metadata=authorization(stranger) * 2, timeout=10)


def ask_the_gateway(run: Run, presented: list[str]) -> None:
    """Good requests, and secrets in all the places where they don't belong."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
    for secret in presented:
        bearer = {"Authorization": f"Bearer {secret}"}
        request(run, "GET", "/v1/models", bearer)
        request(run, "POST", "/v1/chat/completions", bearer, body)
        request(run, "POST", "/v1/chat/completions", bearer, "{")
        request(run, "GET", "/authz", bearer)
        request(run, "GET", f"/v1/models?api_key={secret}")
        # Paths and request ids are logged: what can't be told from any other may be found there.
        if secret not in (FOREIGN, IMPORTED):
            request(run, "GET", "/v1/models", {**bearer, "x-request-id": secret[:64]})
            request(run, "GET", f"/v1/models/{secret}", bearer)
            request(run, "GET", f"/{secret}", bearer)
            request(run, "GET", f"/v1/%2e%2e/{secret}", bearer)
        request(run, "GET", "/v1/models", {"X-Api-Key": secret, "Cookie": secret})
        request(run, "GET", "/v1/models", {"Authorization": f"Basic {secret}"})
        request(run, "GET", "/v1/models", {"Authorization": f"Bearer {secret} {secret}"})
        request(run, "GET", "/v1/models", {"Authorization": secret * 100})
        for broken in (
            f"GET /v1/models HTTP/1.1\r\nHost: g\r\nAuthorization Bearer {secret}\r\n\r\n",
            f"GET /v1/models HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {secret}\0\r\n\r\n",
            f"GET /v1/models HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {secret}" + "a" * 40_000,
            f"GET / HTTP/9.9\r\nAuthorization: Bearer {secret}\r\n\r\n",
            f"{secret} / HTTP/1.1\r\nHost: g\r\n\r\n",
            f"Bearer {secret}\r\n\r\n",
        ):
            run.search.look_into("raw HTTP answers", raw(run.edge.port, broken.encode()))


def request(
    run: Run, method: str, target: str, headers: dict[str, str] | None = None, body: str = ""
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", run.edge.port, timeout=10)
    try:
        connection.request(method, target, body or None, headers or {})
        answer = connection.getresponse()
        told = f"{answer.status} {answer.reason}\n{answer.headers}\n".encode() + answer.read()
    finally:
        connection.close()
    # The client's own id comes back to it, whatever it is.
    echoed = (headers or {}).get("x-request-id", "")
    run.search.look_into("HTTP answers", told.replace(echoed.encode(), b"") if echoed else told)


def raw(port: int, sent: bytes) -> bytes:
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


def scrape(run: Run) -> None:
    for name, port in (
        ("authority", run.edge.metrics_port),
        ("gateway", run.edge.gateway_metrics_port),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        run.search.look_into(f"{name} metrics", connection.getresponse().read())
        connection.close()


def use_the_command_line(run: Run, presented: list[str]) -> None:
    """With secrets on standard input, where they belong, and as arguments, where they don't."""
    for secret in presented[:3]:
        command(run, "verify", given=secret)
        command(run, "keys", "lookup", given=secret)
        command(run, "keys", "get", secret)
        command(run, "keys", "revoke", "--note", secret, "key_0000000000000000")
    command(run, "audit", "export")
    command(run, "keys", "list")
    command(run, "callers", "list")
    bad = run.edge.folder / "bad.token"
    bad.write_text(f"{presented[0]} {presented[1]}\n")
    bad.chmod(0o600)
    command(run, "--token-file", str(bad), "keys", "list")


def command(run_: Run, *arguments: str, given: str = "") -> None:
    edge = run_.edge
    options = ["--address", edge.address, "--data-dir", str(edge.data_dir)]
    done = run([sys.executable, "-m", "keyauthority", *options, *arguments], input=given)
    name = f"command {' '.join(word for word in arguments[:2] if len(word) < 20)}"
    run_.search.look_into(name, done.stdout + done.stderr)


def break_things(run: Run, presented: list[str]) -> None:
    """Tables that are gone, an upstream and an authority that are gone, starts that fail."""
    # What is in memory now can be read from outside only here.
    for process in (run.edge.authority, run.edge.gateway, run.edge.upstream):
        run.search.look_into("command lines", process.command_line())
        run.search.look_into("command lines", Path(f"/proc/{process.pid}/environ").read_bytes())
    database = run.edge.data_dir / "keyauthority.db"
    renamed = rename_tables(database)
    ask_the_authority(run, presented[:2])
    with suppress(grpc.RpcError):
        run.hide("issued into nothing", run.operator.issue("ws_0000000000000000")[1])
    request(run, "GET", "/v1/models", {"Authorization": f"Bearer {presented[0]}"})
    rename_tables(database, back=renamed)
    keep_files(run)
    run.edge.upstream.stop()
    request(run, "GET", "/v1/models", {"Authorization": f"Bearer {presented[0]}"})
    run.edge.authority.send(signal.SIGKILL)
    request(run, "GET", "/v1/models", {"Authorization": f"Bearer {presented[0]}"})
    # No memory has a verdict on this one.
    new = run.hide("presented to nobody", unknown())
    request(run, "GET", "/v1/models", {"Authorization": f"Bearer {new}"})
    start_with_wrong_keyrings(run)
    start_a_gateway_with_wrong_tokens(run, presented)
    run.edge.authority = run.edge.start_authority()
    run.edge.authority.port()
    request(run, "GET", "/v1/models", {"Authorization": f"Bearer {presented[0]}"})


def rename_tables(database: Path, back: list[str] | None = None) -> list[str]:
    """Takes the tables away, or puts them *back*."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")
        if back is not None:
            for name in back:
                connection.execute(f'ALTER TABLE "gone_{name}" RENAME TO "{name}"')
            names = back
        else:
            found = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%secret%'"
            )
            names = [name for (name,) in found]
            for name in names:
                connection.execute(f'ALTER TABLE "{name}" RENAME TO "gone_{name}"')
    connection.close()
    return names


def start_with_wrong_keyrings(run: Run) -> None:
    """Another one, a broken one, one that is too short, one that is open to all."""
    keyring = run.edge.data_dir / "keyring.json"
    right = keyring.read_bytes()
    peppers = json.loads(right)["peppers"]
    other = base64.b64encode(os.urandom(32)).decode()
    run.hide("another pepper", other)
    wrongs = {
        "other": json.dumps({"peppers": dict.fromkeys(peppers, other)}),
        "broken": right.decode()[:-5],
        "short": json.dumps({"peppers": {"1": peppers["1"][:40]}}),
        "open": right.decode(),
    }
    for name, content in wrongs.items():
        keyring.write_text(content)
        keyring.chmod(0o644 if name == "open" else 0o600)
        failed = run.edge.start_authority()
        assert failed.wait() == 1
    keyring.write_bytes(right)
    keyring.chmod(0o600)


def start_a_gateway_with_wrong_tokens(run: Run, presented: list[str]) -> None:
    for content, mode in ((" ".join(presented[:2]), 0o600), (presented[0], 0o644)):
        token = run.edge.folder / "wrong.token"
        token.write_text(content)
        token.chmod(mode)
        flags = ("--token-file", str(token), "--upstream", "http://127.0.0.1:1")
        failed = Process(run.edge.logs, "gateway", *flags, "--listen", "127.0.0.1:0")
        assert failed.wait() == 1


def keep_files(run: Run) -> None:
    """The database with its journal, as they are now, and the logs."""
    own = {"keyring.json", "root.token"}
    for path in [*run.edge.data_dir.iterdir(), *run.edge.logs.iterdir()]:
        if path.name not in own:
            run.search.look_into(path.name, path.read_bytes())


def hide_peppers(run: Run) -> None:
    keyring = json.loads((run.edge.data_dir / "keyring.json").read_bytes())
    assert len(keyring["peppers"]) == 2
    for version, encoded in keyring["peppers"].items():
        run.search.hide(f"pepper {version}", base64.b64decode(encoded))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """What a whole run has left behind, and what may not be there."""
    search = Search()
    with edge_running(tmp_path_factory.mktemp("canary"), "--max-refusals", "0") as edge:
        run = Run(edge, search)
        presented = live_and_die(run)
        ask_the_authority(run, presented)
        repeat_and_rotate_peppers(run)
        call_with_wrong_tokens(run, presented)
        list_everything(run)
        ask_the_gateway(run, presented)
        use_the_command_line(run, presented)
        scrape(run)
        hide_peppers(run)
        break_things(run, presented)
    # All of them have stopped: what they still had to say is in the logs.
    keep_files(run)
    return search


def test_no_secret_is_found_anywhere(search: Search) -> None:
    """Not whole, not its beginning, not hashed, not encoded."""
    assert search.finds() == []


@pytest.mark.parametrize(
    ("place", "trace"),
    [
        ("keyauthority.db", b"key_"),
        ("keyauthority.db-wal", b"key_"),
        ("keyauthority.err", b"internal_error"),
        ("keyauthority.err", b"Traceback"),
        ("keyauthority.err", b"keyring"),
        ("gateway.err", b'"outcome": "forwarded"'),
        ("gateway.err", b'"outcome": "bad_request"'),
        ("gateway.err", b'"outcome": "verification_unavailable"'),
        ("gateway.err", b"wrong.token"),
        ("authority metrics", b"keyauthority_calls"),
        ("gateway metrics", b"gateway_requests"),
        ("command lines", b"--token-file"),
        ("command audit export", b"RevokeKey"),
        ("command verify", b"valid"),
        ("error of LookupKey", b"no such key"),
        ("error of Verify", b"internal error"),
        ("error of ListCallers", b"role"),
        ("metadata of GetKey", b"ErrorInfo"),
        ("HTTP answers", b"invalid_key"),
        ("HTTP answers", b"upstream_unavailable"),
        ("HTTP answers", b"You said: Hello"),
        ("raw HTTP answers", b"bad_request"),
    ],
)
def test_the_search_looked_where_it_meant_to(search: Search, place: str, trace: bytes) -> None:
    """What is known to be there is found."""
    assert trace in search.places[place]


def test_a_leak_would_be_found(search: Search) -> None:
    """Each secret, in each form, planted in the middle of what was searched."""
    for name, secret in search.canaries.items():
        for form, text in forms(secret):
            planted = Search({name: secret}, {"log": b"something " + text + b" or other"})
            assert any(find.endswith(form) for find in planted.finds()), (name, form)
    planted = deepcopy(search)
    planted.look_into("gateway.err", base64.b64encode(b"Bearer " + search.canaries["live"]))
    assert any("live in gateway.err" in find for find in planted.finds())
