"""The typed client of the admin services, against the authority itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keyauthority.client import Secret, Verdict, connect, connect_blocking
from keyauthority.client.admin import (
    AdminClient,
    AuditFilter,
    AuthorityError,
    BlockingAdminClient,
    Call,
    CredentialError,
    ImportedKey,
    KeySettings,
    KeyState,
    MissingError,
    PepperState,
    Person,
    Reason,
    Receipt,
    RefusedError,
    RevocationReason,
    Role,
    SpreadingError,
    TransportError,
    UnavailableError,
    Who,
    audit,
    callers,
    identity,
    keys,
    operations,
    reading,
    verification,
    workspaces,
)
from keyauthority.client.admin.failures import failure
from keyauthority.v1 import key_pb2
from keyauthority.v1.wire import ERROR_DETAILS, ERROR_DOMAIN
from tests.conformance.records import START
from tests.ports import free_port
from tests.rpc.parts import METHODS, Authority, path_of

FOREIGN = "pk_live_0123456789abcdef"
CALLS: tuple[Call[Any], ...] = (
    keys.issue("ws_1", KeySettings("billing")),
    keys.get("key_1"),
    keys.get_all(["key_1"]),
    keys.page(),
    keys.update("key_1", KeySettings("billing"), ["name"]),
    keys.rotate("key_1"),
    keys.revoke("key_1"),
    keys.revoke_all(["key_1"]),
    keys.lookup(Secret(FOREIGN)),
    keys.import_keys("ws_1", [ImportedKey(Secret(FOREIGN), KeySettings("taken over"))]),
    workspaces.create("acme"),
    workspaces.get("ws_1"),
    workspaces.get_all(["ws_1"]),
    workspaces.page(),
    workspaces.update("ws_1"),
    callers.create("ci", [Role.ISSUER]),
    callers.page(),
    callers.revoke("caller_1"),
    audit.page(AuditFilter()),
    audit.prune(START),
    identity.who_am_i(),
    operations.sessions(),
    operations.peppers(),
    operations.add_pepper(),
    operations.activate_pepper(1),
    operations.retire_pepper(1),
)


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[AdminClient]:
    """A client of the root's, over the channel that other services open."""
    async with connect(f"127.0.0.1:{authority.port}") as channel:
        yield AdminClient(channel, Secret(authority.root.token))


def refused(code: grpc.StatusCode, reason: str, **metadata: str) -> AuthorityError:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata))
    details = Status(details=[detail]).SerializeToString()
    return failure(
        grpc.aio.AioRpcError(
            code, grpc.aio.Metadata(), grpc.aio.Metadata((ERROR_DETAILS, details)), "no"
        )
    )


def test_every_method_of_the_admin_services_has_its_call() -> None:
    """A method that is added to one of them is not forgotten here."""
    admin = {"KeyService", "WorkspaceService", "CallerService", "AuditService"}
    admin |= {"OperationsService", "IdentityService"}
    methods = {path_of(one) for one in METHODS.values() if one.containing_service.name in admin}

    assert {call.path for call in CALLS} == methods


async def test_a_key_from_its_first_day_to_its_last(client: AdminClient) -> None:
    """Each answer is a record, with the authority's own choices and plain times."""
    workspace = await client.call(workspaces.create("acme"))
    issued = await client.call(
        keys.issue(
            workspace.id,
            KeySettings("billing", labels={"team": "red"}),
            ttl=timedelta(days=1),
        )
    )
    key = issued.key
    assert (key.settings.name, key.workspace_id, key.state) == (
        "billing",
        workspace.id,
        KeyState.ACTIVE,
    )
    assert (key.create_time, key.settings.expire_time) == (START, START + timedelta(days=1))
    assert (key.settings.scopes, key.settings.labels, key.revocation) == ((), {"team": "red"}, None)
    assert [one.hint for one in key.secrets] == [issued.secret.hint]
    assert isinstance(key.creator, Who)
    assert key.creator.id.startswith("caller_")
    verified = await client.call(verification.verify(issued.secret))
    assert verified.verdict is Verdict.VALID
    assert await client.call(keys.get(key.id)) == await client.call(keys.lookup(issued.secret))

    changed = await client.call(
        keys.update(
            key.id,
            KeySettings("new", scopes=("chat",)),
            ["name", "expire_time", "scopes"],
            etag=key.etag,
        )
    )
    assert (changed.record.settings.name, changed.record.settings.expire_time) == ("new", None)
    assert (changed.record.settings.scopes, changed.record.settings.labels) == (
        ("chat",),
        {"team": "red"},
    )
    assert changed.receipt.revision == 1
    rotated = await client.call(keys.rotate(key.id, timedelta(hours=1)))
    assert [one.end_time for one in rotated.key.secrets] == [None, START + timedelta(hours=1)]
    assert isinstance(rotated.receipt, Receipt)

    revoked = await client.call(keys.revoke(key.id, RevocationReason.POLICY, "broke a rule"))
    revocation = revoked.record.revocation
    assert revocation is not None
    assert (revocation.time, revocation.reason) == (START, RevocationReason.POLICY)
    assert revocation.note == "broke a rule"
    assert (await client.call(keys.get(key.id))).state is KeyState.REVOKED


async def test_lists_come_a_page_at_a_time(client: AdminClient) -> None:
    """With the token of the next one, which is empty on the last."""
    workspace = await client.call(workspaces.create("acme"))
    taken = [
        ImportedKey(Secret(f"{FOREIGN}{number}"), KeySettings(f"key {number}"))
        for number in range(3)
    ]
    imported = await client.call(keys.import_keys(workspace.id, taken))
    assert [key.settings.name for key in imported.record] == ["key 0", "key 1", "key 2"]

    first = await client.call(keys.page(workspace.id, size=2))
    second = await client.call(keys.page(workspace.id, size=2, token=first.next_page_token))

    assert {key.id for key in (*first.records, *second.records)} == {
        key.id for key in imported.record
    }
    assert (len(second.records), second.next_page_token) == (1, "")
    await client.call(keys.revoke_all([key.id for key in imported.record]))
    left = await client.call(keys.page(workspace.id, state=KeyState.ACTIVE))
    assert left.records == ()


async def test_workspaces_callers_and_peppers(client: AdminClient) -> None:
    """What an administrator keeps besides keys."""
    workspace = await client.call(workspaces.create("acme"))
    suspended = await client.call(workspaces.update(workspace.id, suspended=True))
    assert (suspended.record.name, suspended.record.suspended) == ("acme", True)
    assert await client.call(workspaces.get(workspace.id)) == suspended.record
    assert (await client.call(workspaces.page())).records == (suspended.record,)

    made = await client.call(
        callers.create("ci", [Role.ISSUER], workspace_ids=[workspace.id], acts_for_people=True)
    )
    assert (made.caller.roles, made.caller.workspace_ids) == ((Role.ISSUER,), (workspace.id,))
    assert made.caller.acts_for_people
    assert made.token.reveal().startswith("optk-svc-")
    revoked = await client.call(callers.revoke(made.caller.id))
    assert revoked.record.revoke_time == START
    assert revoked.record in (await client.call(callers.page())).records

    await client.call(operations.add_pepper())
    await client.call(operations.activate_pepper(2))
    states = [one.state for one in await client.call(operations.peppers())]
    assert states == [PepperState.SUPERSEDED, PepperState.ACTIVE]
    [own] = (await client.call(operations.sessions())).sessions
    assert own.caller_id == ""


async def test_the_audit_knows_the_call_and_for_whom(client: AdminClient) -> None:
    """A client that acts for somebody names them, and the request, with each of its calls."""
    made = await client.call(callers.create("console", [Role.ADMIN], acts_for_people=True))
    console = AdminClient(client.channel, made.token)
    alice = Person("person_1", "alice@example.com")

    acting = console.acting_for(alice, "req_7")
    workspace = await acting.call(workspaces.create("acme"))

    [entry] = (await client.call(audit.page(AuditFilter(subject=workspace.id)))).records
    assert (entry.caller_id, entry.person_id, entry.person_name, entry.request_id) == (
        *(made.caller.id, alice.id, alice.name, "req_7"),
    )
    assert await client.call(audit.prune(START)) == 0


async def test_what_is_refused_says_why(client: AdminClient) -> None:
    """The field, what is missing, and the reason, are attributes."""
    with pytest.raises(RefusedError) as wrong:
        await client.call(workspaces.create(""))
    assert (wrong.value.reason, wrong.value.field) == (Reason.FIELD_INVALID, "name")
    assert wrong.value.message == "name is empty"
    taken = [
        ImportedKey(Secret(FOREIGN), KeySettings("a")),
        ImportedKey(Secret(FOREIGN + "x"), KeySettings("")),
    ]
    workspace = await client.call(workspaces.create("acme"))
    with pytest.raises(RefusedError) as entry:
        await client.call(keys.import_keys(workspace.id, taken))
    assert (entry.value.index, entry.value.field) == (1, "keys[1].name")
    with pytest.raises(MissingError) as missing:
        await client.call(keys.get("key_1"))
    assert (missing.value.reason, missing.value.id) == (Reason.KEY_NOT_FOUND, "key_1")
    key = (await client.call(keys.issue(workspace.id, KeySettings("x")))).key
    with pytest.raises(RefusedError) as stale:
        await client.call(keys.update(key.id, KeySettings("y"), ["name"], etag="another"))
    assert stale.value.reason is Reason.ETAG_MISMATCH


async def test_a_credential_that_is_not_enough(client: AdminClient) -> None:
    """Unknown, or without the role: a fault of who calls, told apart from an outage."""
    for token in (None, Secret("noise")):
        with pytest.raises(CredentialError):
            await AdminClient(client.channel, token).call(workspaces.page())
    issuer = await client.call(callers.create("ci", [Role.ISSUER]))
    with pytest.raises(CredentialError) as lacking:
        await AdminClient(client.channel, issuer.token).call(workspaces.page())
    assert (lacking.value.reason, lacking.value.metadata["role"]) == (Reason.ROLE_MISSING, "admin")


async def test_the_request_id_is_told_with_the_failure(client: AdminClient) -> None:
    """The one that was given, else the one that was made up: the authority's log has it."""
    with pytest.raises(MissingError) as given:
        await client.acting_for(None, "mine").call(keys.get("key_1"))
    with pytest.raises(MissingError) as made:
        await client.call(keys.get("key_1"))
    assert given.value.request_id == "mine"
    assert len(made.value.request_id) == 32


async def test_several_addresses_and_no_event_loop(authority: Authority) -> None:
    """Whoever does not answer is passed over, with either kind of client."""
    addresses = f"127.0.0.1:{free_port()},127.0.0.1:{authority.port}"
    token = Secret(authority.root.token)
    async with connect(addresses) as channel:
        client = AdminClient(channel, token)
        made = [await client.call(workspaces.create("acme")) for _ in range(2)]
        assert await client.call(workspaces.get(made[0].id)) == made[0]

    def listed() -> set[str]:
        with connect_blocking(addresses) as blocking:
            page = BlockingAdminClient(blocking, token).call(workspaces.page())
            return {one.id for one in page.records}

    assert await asyncio.to_thread(listed) == {one.id for one in made}


async def test_nobody_answers() -> None:
    """It is gRPC that fails, and says so: at once if there is nobody, else when the time is over."""
    async with connect(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(TransportError) as nobody:
            await AdminClient(channel).call(workspaces.page())
    assert nobody.value.code is grpc.StatusCode.UNAVAILABLE
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with connect(f"127.0.0.1:{mute.getsockname()[1]}") as channel:
            hasty: tuple[tuple[Call[Any], AdminClient], ...] = (
                (workspaces.page(), AdminClient(channel, reading=0.05, changing=60)),
                (keys.revoke("key_1"), AdminClient(channel, reading=60, changing=0.05)),
            )
            for call, client in hasty:
                with pytest.raises(TransportError) as late:
                    await client.call(call)
                assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_failure_is_known_by_its_status_and_its_reason() -> None:
    """What a newer authority gives for a reason is still refused, missing or away."""
    spreading = refused(grpc.StatusCode.DEADLINE_EXCEEDED, "REVOCATION_SPREADING", within="3.38")
    assert isinstance(spreading, SpreadingError)
    assert (spreading.seconds, spreading.reason) == ("3.38", Reason.REVOCATION_SPREADING)
    unknown = refused(grpc.StatusCode.FAILED_PRECONDITION, "LIMIT_TOO_LOW", field="limit")
    assert isinstance(unknown, RefusedError)
    assert (unknown.reason, unknown.field, unknown.index) == (None, "limit", None)
    overloaded = refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert type(overloaded) is UnavailableError
    assert overloaded.reason is Reason.OVERLOADED


@pytest.mark.parametrize("details", [b"\xff", Status().SerializeToString()])
def test_details_that_say_nothing(details: bytes) -> None:
    """It is no key authority's failure, and so never taken for a refusal."""
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.aio.Metadata(),
        grpc.aio.Metadata((ERROR_DETAILS, details)),
        "no",
    )
    assert type(failure(error)) is TransportError


def test_choices_of_a_newer_authority() -> None:
    """A record with a choice that is not known here can be read all the same."""
    newer = b"\x20\x63"  # state: 99
    assert reading.key(key_pb2.Key.FromString(newer)).state is None


async def test_no_secret_is_shown(client: AdminClient) -> None:
    """Neither by a call that holds one, nor by its result, nor by the client."""
    workspace = await client.call(workspaces.create("acme"))
    issued = await client.call(keys.issue(workspace.id, KeySettings("x")))
    shown = repr((keys.lookup(Secret(FOREIGN)), issued, client, *CALLS))

    assert FOREIGN not in shown
    assert issued.secret.reveal() not in shown
    assert client.token is not None
    assert client.token.reveal() not in shown


async def test_a_caller_learns_who_it_is(authority: Authority, client: AdminClient) -> None:
    """Whatever its roles, with the authority's clock and version; its token is not told."""
    verifier = await authority.caller(Role.VERIFIER)
    async with connect(f"127.0.0.1:{authority.port}") as channel:
        answer = await AdminClient(channel, Secret(verifier.token)).call(identity.who_am_i())

    assert (answer.caller.id, answer.caller.roles) == (verifier.caller_id, (Role.VERIFIER,))
    assert answer.server_time == START
    assert answer.server_version == version("opentoken-keyauthority")
    assert verifier.token not in repr(answer)
    assert (await client.call(identity.who_am_i())).caller.roles == tuple(Role)
