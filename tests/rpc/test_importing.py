"""Taking over keys whose secrets were minted elsewhere, over the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from keyauthority.client import Secret, Verifier
from keyauthority.client import Verdict as DomainVerdict
from keyauthority.domain.callers import Role
from keyauthority.server import serving
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    ImportedKey,
    ImportKeysRequest,
    ImportKeysResponse,
    LookupKeyRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    RevokePresentedRequest,
    Verdict,
    VerifyRequest,
)
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import DAY, START
from tests.rpc.parts import (
    TIMEOUT,
    Api,
    Authority,
    eventually,
    invalid_field,
    issue,
    reason,
    refusal,
    verdict,
)
from tests.rpc.syncing import acknowledging, joined, spreads, started

FOREIGN = "pk_live_51H8xQ2eZvKYlo2C"
OTHER = "pk_live_another-one-entirely"


def an_import(workspace: str, *secrets: str, **fields: Any) -> ImportKeysRequest:
    keys = [ImportedKey(secret=one, **{"name": "a key", **fields}) for one in secrets]
    return ImportKeysRequest(workspace_id=workspace, keys=keys)


async def take(api: Api, workspace: str, *secrets: str, **fields: Any) -> ImportKeysResponse:
    response: ImportKeysResponse = await api(an_import(workspace, *secrets, **fields))
    return response


async def test_imported_keys_act(root: Api, workspace: str) -> None:
    """In the order of the request, with all that was said of them, and without their secrets."""
    expire_time = Timestamp()
    expire_time.FromDatetime(START + DAY)
    given: dict[str, Any] = {"scopes": ["a", "b"], "labels": {"team": "red"}}
    taken = await take(root, workspace, FOREIGN, OTHER, expire_time=expire_time, **given)

    assert [key.secrets[0].hint for key in taken.keys] == ["pk_…o2C", "pk_…ely"]
    assert taken.receipt.revision == 1
    for key, secret in zip(taken.keys, (FOREIGN, OTHER), strict=True):
        assert (await root(GetKeyRequest(key_id=key.id))).key == key
        assert (await root(LookupKeyRequest(secret=secret))).key == key
        assert key.expire_time == expire_time
        answer = await root(VerifyRequest(secret=secret))
        assert answer.verdict == Verdict.VERDICT_VALID
        assert (answer.key.id, answer.key.workspace_id) == (key.id, workspace)
        assert (answer.key.scopes, dict(answer.key.labels)) == (["a", "b"], {"team": "red"})
        used = (await root(LookupKeyRequest(secret=secret))).key
        assert used.secrets[0].last_used_time.ToDatetime(UTC) == START


async def test_the_first_import_reaches_verifiers_that_refuse_unasked(
    authority: Authority, workspace: str
) -> None:
    """Under a lease they need no call to refuse what nobody imported; from the import on they ask."""
    token = Secret((await authority.caller(Role.VERIFIER)).token)
    async with Verifier(f"127.0.0.1:{authority.port}", token=token, timeout=TIMEOUT) as verifier:
        await eventually(lambda: asyncio.sleep(0, verifier.lease_held))
        assert (await verifier.verify(FOREIGN)).verdict is DomainVerdict.UNKNOWN
        assert verifier.entries == 0

        taken = await take(authority.root, workspace, FOREIGN)

        assert (await verifier.verify(FOREIGN)).verdict is DomainVerdict.VALID
        assert verifier.entries == 1
        assert taken.receipt.sessions_acknowledged >= 1
        assert (await verifier.verify(OTHER)).verdict is DomainVerdict.UNKNOWN
        later = await take(authority.root, workspace, OTHER)
        assert (await verifier.verify(OTHER)).verdict is DomainVerdict.VALID
        # It changed nothing that verifiers have to hear of, and made sure that they had.
        assert later.receipt.revision == taken.receipt.revision
        assert later.receipt.sessions_acknowledged >= 1

        await authority.root(RevokePresentedRequest(secret=OTHER))
        assert (await verifier.verify(OTHER)).verdict is DomainVerdict.REVOKED


async def test_a_later_import_returns_no_sooner_than_the_first(
    authority: Authority, workspace: str
) -> None:
    """While a verifier has not heard of the first, it refuses what the second brought."""
    api = await authority.caller(Role.VERIFIER)
    session = await joined(api)
    first = started(take(authority.root, workspace, FOREIGN))
    await spreads(first)
    second = started(take(authority.root, workspace, OTHER))
    await spreads(second)

    told = await api(acknowledging(session))
    await api(acknowledging(told))

    assert [(await one).receipt.revision for one in (first, second)] == [1, 1]


async def test_an_unknown_one_is_not_to_be_kept(root: Api, workspace: str) -> None:
    """It holds for no time at all, before the first import and after."""
    for _ in range(2):
        answer = await root(VerifyRequest(secret=OTHER))
        assert answer.verdict == Verdict.VERDICT_UNKNOWN
        assert (answer.cache_for.seconds, answer.cache_for.nanos) == (0, 0)
        assert not answer.HasField("key")
        if answer.revision == 0:
            await take(root, workspace, FOREIGN)


async def test_the_life_of_an_imported_key(root: Api, workspace: str) -> None:
    """Rotated to a secret of ours, then revoked."""
    [key] = (await take(root, workspace, FOREIGN)).keys
    rotated = await root(RotateKeyRequest(key_id=key.id))
    assert rotated.secret.startswith("sk-optk-")
    answer = await root(VerifyRequest(secret=FOREIGN))
    assert (answer.verdict, answer.key_revoked) == (Verdict.VERDICT_REVOKED, False)
    assert await verdict(root, rotated.secret) == "VALID"

    await root(RevokeKeyRequest(key_id=key.id))

    answer = await root(VerifyRequest(secret=FOREIGN, fresh=True))
    assert (answer.verdict, answer.key_revoked) == (Verdict.VERDICT_REVOKED, True)


async def test_a_batch_of_both_kinds(root: Api, workspace: str) -> None:
    """Each gets its own answer, in its place."""
    await take(root, workspace, FOREIGN)
    minted = (await issue(root, workspace)).secret

    answers = (await root(BatchVerifyRequest(secrets=[FOREIGN, minted, OTHER, "x"]))).answers

    assert [Verdict.Name(answer.verdict).removeprefix("VERDICT_") for answer in answers] == [
        *("VALID", "VALID", "UNKNOWN", "MALFORMED")
    ]


async def test_a_thousand_at_once(root: Api, workspace: str) -> None:
    """All of them, in one call."""
    secrets = [f"{FOREIGN}{n}" for n in range(1_000)]

    taken = await take(root, workspace, *secrets)

    answers = (await root(BatchVerifyRequest(secrets=secrets))).answers
    assert [answer.key.id for answer in answers] == [key.id for key in taken.keys]
    with invalid_field("keys"):
        await take(root, workspace, *secrets, OTHER)


async def test_what_is_refused(root: Api, workspace: str) -> None:
    """The refusal names the entry and says nothing of any secret."""
    await take(root, workspace, FOREIGN)
    with invalid_field("keys[1].secret"):
        await take(root, workspace, OTHER, "short")
    with invalid_field("keys[1].secret"):
        await take(root, workspace, OTHER, OTHER)
    with invalid_field("keys[0].name"):
        await take(root, workspace, OTHER, name="")
    with invalid_field("keys[0].expire_time"):
        await take(root, workspace, OTHER, expire_time=Timestamp(seconds=1 << 50))
    with invalid_field("keys"):
        await take(root, workspace)
    taken = await refusal(take(root, workspace, OTHER, FOREIGN))
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SECRET_TAKEN")
    assert taken.metadata == {"index": "1"}
    assert FOREIGN not in str(taken)
    assert await verdict(root, OTHER) == "UNKNOWN"


async def test_a_workspace_that_is_suspended(root: Api, workspace: str) -> None:
    """Nothing is imported into it."""
    suspended = Workspace(id=workspace, suspended=True)
    await root(UpdateWorkspaceRequest(workspace=suspended))
    assert await reason(take(root, workspace, FOREIGN)) == "WORKSPACE_SUSPENDED"


async def test_a_bound_issuer(authority: Authority, workspace: str) -> None:
    """It imports into its own workspace, and others are not there for it."""
    bound = await authority.caller(Role.ISSUER, workspace_ids=[workspace])
    other = await authority.workspace("other")
    assert await reason(take(bound, other, FOREIGN)) == "WORKSPACE_NOT_FOUND"
    await take(authority.root, other, FOREIGN)
    assert await reason(bound(LookupKeyRequest(secret=FOREIGN))) == "KEY_NOT_FOUND"
    assert len((await take(bound, workspace, OTHER)).keys) == 1


async def test_nothing_is_written_down_but_the_names(root: Api, workspace: str) -> None:
    """Neither the audit nor the log holds a secret, of what went well and of what was refused."""
    with capture_logs() as logged:
        taken = await take(root, workspace, FOREIGN)
        await reason(take(root, workspace, OTHER, FOREIGN))
        await reason(root(RevokePresentedRequest(secret=OTHER)))
        await root(RevokePresentedRequest(secret=FOREIGN))
    listed = (await root(ListAuditEntriesRequest())).entries
    assert not [secret for secret in (FOREIGN, OTHER) if secret in f"{listed}{logged}{taken}"]
    [mine] = [entry for entry in listed if entry.action == "KeyService.ImportKeys"][:1]
    assert (mine.subject, mine.revision) == ("imports", 1)


@pytest.mark.parametrize("kind", ["minted", "foreign"])
async def test_a_secret_revokes_its_key(authority: Authority, workspace: str, kind: str) -> None:
    """A verifier is enough; the answer names the key and carries the receipt, again and again."""
    root, verifier = authority.root, await authority.caller(Role.VERIFIER)
    if kind == "minted":
        issued = await issue(root, workspace)
        key_id, secret = issued.key.id, issued.secret
    else:
        [key] = (await take(root, workspace, FOREIGN)).keys
        key_id, secret = key.id, FOREIGN

    for _ in range(2):
        answer = await verifier(RevokePresentedRequest(secret=secret, note="in a public log"))
        assert answer.key_id == key_id
        assert answer.receipt.revision == (await root(VerifyRequest(secret=secret))).revision

    key = (await root(GetKeyRequest(key_id=key_id))).key
    assert key.revocation_note == "in a public log"
    assert await verdict(root, secret) == "REVOKED"
    listed = (await root(ListAuditEntriesRequest(subject=key_id))).entries
    assert listed[0].action == "VerificationService.RevokePresented"
    assert listed[0].caller_id == verifier.caller_id
    assert len(listed) == 2


async def test_a_secret_that_revokes_nothing(root: Api, workspace: str) -> None:
    """Noise, one that nobody minted, one that was retired."""
    retired = await issue(root, workspace)
    await root(RotateKeyRequest(key_id=retired.key.id))
    malformed = await refusal(root(RevokePresentedRequest(secret="noise")))
    assert (malformed.code, malformed.reason) == (
        *(grpc.StatusCode.INVALID_ARGUMENT, "SECRET_MALFORMED"),
    )
    gone = await refusal(root(RevokePresentedRequest(secret=retired.secret)))
    assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND")
    assert gone.metadata == {"key_id": ""}
    with invalid_field("secret"):
        await root(RevokePresentedRequest())
    with invalid_field("note"):
        await root(RevokePresentedRequest(secret=retired.secret, note="x" * 501))


async def test_imports_survive_a_restart(
    authority: Authority, workspace: str, running: Any, clock: Any
) -> None:
    """They verify after the next start."""
    await take(authority.root, workspace, FOREIGN)
    await running.aclose()
    port = await running.enter_async_context(serving(authority.settings, clock))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await verdict(Api(channel, authority.root.token), FOREIGN) == "VALID"
