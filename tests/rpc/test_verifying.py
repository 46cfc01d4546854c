"""Every verdict, in its order, and how long it holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from keyauthority.domain.secrets import mint
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    IssueKeyResponse,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    Verdict,
    VerifiedKey,
    VerifyRequest,
    VerifyResponse,
)
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, invalid_field, issue, refusal, verdict


async def verify(api: Api, secret: str) -> VerifyResponse:
    response: VerifyResponse = await api(VerifyRequest(secret=secret, fresh=True))
    return response


async def revise(api: Api, key_id: str) -> int:
    """Makes a change, and returns its revision."""
    response = await api(RevokeKeyRequest(key_id=key_id))
    revision: int = response.receipt.revision
    return revision


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace, "ci", scopes=["a", "b"], labels={"team": "search"})


class TestVerdicts:
    async def test_come_in_their_order(self, root: Api, workspace: str, clock: ManualClock) -> None:
        """Of all that is wrong with a key, the first in the contract's order is told."""
        issued = await issue(root, workspace, ttl={"seconds": 10})
        given = [await verdict(root, issued.secret, fresh=True)]
        await root(UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True)))
        given.append(await verdict(root, issued.secret, fresh=True))
        clock.time += timedelta(seconds=10)
        given.append(await verdict(root, issued.secret, fresh=True))
        await root(UpdateKeyRequest(key=Key(id=issued.key.id, disabled=True)))
        given.append(await verdict(root, issued.secret, fresh=True))
        await root(RevokeKeyRequest(key_id=issued.key.id))
        given.append(await verdict(root, issued.secret, fresh=True))
        assert given == ["VALID", "WORKSPACE_SUSPENDED", "EXPIRED", "DISABLED", "REVOKED"]

    async def test_malformed_for_noise(self, root: Api, issued: IssueKeyResponse) -> None:
        """What has not the shape of a secret, or a wrong checksum, is a typing error."""
        secret = issued.secret
        swapped = secret[:20] + secret[21] + secret[20] + secret[22:]
        assert swapped != secret or secret[20] == secret[21]
        noise = [
            "x",
            "sk-optk-",
            secret[:-1],
            secret + "0",
            f" {secret}",
            "\0",
            "é",
            root.token,
        ]
        for text in noise:
            answer = await verify(root, text)
            assert answer.verdict == Verdict.VERDICT_MALFORMED, text
            assert not answer.HasField("key")

    async def test_unknown_for_what_could_have_been_imported(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """Another system may mint secrets of any other shape."""
        secret = issued.secret
        for text in (secret.upper(), secret.replace("sk-", "pk-"), issued.key.id):
            assert await verdict(root, text) == "UNKNOWN"

    async def test_unknown_for_what_was_never_minted(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """An id that doesn't exist, and a wrong secret for one that does, are told alike."""
        for key_id in ("key_0123456789ABCDEF", issued.key.id):
            answer = await verify(root, mint(key_id).reveal())
            assert answer.verdict == Verdict.VERDICT_UNKNOWN
            assert not answer.HasField("key")

    async def test_suspension_ends_with_the_resumption(
        self, root: Api, workspace: str, issued: IssueKeyResponse
    ) -> None:
        """A suspended tenant's keys come back as they were."""
        await root(UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True)))
        assert await verdict(root, issued.secret) == "WORKSPACE_SUSPENDED"
        resume = UpdateWorkspaceRequest(workspace=Workspace(id=workspace))
        resume.update_mask.paths.append("suspended")
        await root(resume)
        assert await verdict(root, issued.secret) == "VALID"

    async def test_tell_of_the_key_whenever_the_secret_matched(
        self, root: Api, workspace: str, issued: IssueKeyResponse
    ) -> None:
        """A verifier learns whose key it is, of refused ones too: for its log and its bill."""
        key = VerifiedKey(
            id=issued.key.id,
            workspace_id=workspace,
            name="ci",
            scopes=["a", "b"],
            labels={"team": "search"},
        )
        assert (await verify(root, issued.secret)).key == key
        await root(RevokeKeyRequest(key_id=issued.key.id))
        assert (await verify(root, issued.secret)).key == key


class TestHowLongAnAnswerHolds:
    async def test_a_minute_at_most(self, root: Api, issued: IssueKeyResponse) -> None:
        """Without anything ahead, an answer holds for a minute."""
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=60)
        assert (await verify(root, "noise")).cache_for == Duration(seconds=60)

    async def test_until_the_key_expires(
        self, root: Api, workspace: str, clock: ManualClock
    ) -> None:
        """No cache may accept a key past its expiry."""
        issued = await issue(root, workspace, ttl={"seconds": 70})
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=60)
        clock.time += timedelta(seconds=69, microseconds=500_000)
        assert (await verify(root, issued.secret)).cache_for == Duration(nanos=500_000_000)
        clock.time += timedelta(microseconds=500_000)
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=60)

    async def test_until_a_retired_secret_ends(
        self, root: Api, issued: IssueKeyResponse, clock: ManualClock
    ) -> None:
        """The end of an overlap needs no message: no cache holds an answer beyond it."""
        overlap = Duration(seconds=30)
        rotated = await root(RotateKeyRequest(key_id=issued.key.id, overlap=overlap))
        clock.time += timedelta(seconds=10)
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=20)
        assert (await verify(root, rotated.secret)).cache_for == Duration(seconds=60)

    async def test_until_what_comes_first(
        self, root: Api, workspace: str, clock: ManualClock
    ) -> None:
        """Both ends ahead: the nearer one counts."""
        issued = await issue(root, workspace, expire_time=timestamp(START + timedelta(seconds=20)))
        await root(RotateKeyRequest(key_id=issued.key.id, overlap=Duration(seconds=30)))
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=20)

    async def test_a_disabled_key_may_expire_meanwhile(self, root: Api, workspace: str) -> None:
        """DISABLED holds no longer than to the expiry either."""
        issued = await issue(root, workspace, ttl={"seconds": 5})
        await root(UpdateKeyRequest(key=Key(id=issued.key.id, disabled=True)))
        assert (await verify(root, issued.secret)).cache_for == Duration(seconds=5)

    async def test_two_seconds_for_the_unknown(self, root: Api) -> None:
        """A key issued a moment later must not be refused for long."""
        answer = await verify(root, mint("key_0123456789ABCDEF").reveal())
        assert answer.cache_for == Duration(seconds=2)


class TestTheStateItIsBasedOn:
    async def test_is_told(self, root: Api, workspace: str, issued: IssueKeyResponse) -> None:
        """Issuing moves no revision; a change does, and its receipt names it."""
        before = await verify(root, issued.secret)
        other = await issue(root, workspace)
        assert (await verify(root, issued.secret)).revision == before.revision
        revision = await revise(root, other.key.id)
        after = await verify(root, issued.secret)
        assert after.revision == revision == before.revision + 1
        assert after.epoch == before.epoch > 0

    async def test_can_be_asked_for(self, root: Api, issued: IssueKeyResponse) -> None:
        """An answer is of the revision asked for or a later one."""
        revision = await revise(root, issued.key.id)
        for asked in (0, revision):
            request = VerifyRequest(secret=issued.secret, at_least_revision=asked, fresh=True)
            assert (await root(request)).verdict == Verdict.VERDICT_REVOKED

    @pytest.mark.parametrize("kind", ["one", "many"])
    async def test_is_never_older_than_asked_for(
        self, root: Api, issued: IssueKeyResponse, kind: str
    ) -> None:
        """An authority that is behind says so rather than tell an older truth."""
        revision = await revise(root, issued.key.id)
        request: Any = VerifyRequest(secret=issued.secret, at_least_revision=revision + 1)
        if kind == "many":
            request = BatchVerifyRequest(secrets=["x"], at_least_revision=revision + 1)
        refused = await refusal(root(request))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "REVISION_NOT_REACHED"
        assert refused.metadata == {"revision": str(revision)}


class TestManySecrets:
    async def test_are_answered_in_the_order_of_the_questions(
        self, root: Api, workspace: str
    ) -> None:
        """Valid, refused, noise and repeats mixed: each has its answer in its place."""
        issued = [await issue(root, workspace, str(number)) for number in range(3)]
        await root(RevokeKeyRequest(key_id=issued[1].key.id))
        one, two, three = (key.secret for key in issued)
        unknown = mint(issued[0].key.id).reveal()
        batch = await root(BatchVerifyRequest(secrets=[three, "x", one, two, unknown, one]))
        assert [Verdict.Name(answer.verdict)[8:] for answer in batch.answers] == [
            "VALID",
            "MALFORMED",
            "VALID",
            "REVOKED",
            "UNKNOWN",
            "VALID",
        ]
        assert [answer.key.name for answer in batch.answers] == ["2", "", "0", "1", "", "0"]
        assert len({answer.revision for answer in batch.answers}) == 1

    async def test_a_thousand_are_answered(self, root: Api, issued: IssueKeyResponse) -> None:
        """The largest batch, of existing and of made-up secrets."""
        made_up = [mint(f"key_{number:016}").reveal() for number in range(999)]
        batch = await root(BatchVerifyRequest(secrets=[*made_up, issued.secret]))
        unknown, valid = Verdict.VERDICT_UNKNOWN, Verdict.VERDICT_VALID
        assert [answer.verdict for answer in batch.answers] == [unknown] * 999 + [valid]

    @pytest.mark.parametrize("secrets", [[], ["x"] * 1_001, ["x", ""], ["x", "x" * 8_193]])
    async def test_none_or_too_many_or_too_long_ones_are_refused(
        self, root: Api, secrets: list[str]
    ) -> None:
        """A batch has 1 to 1,000 secrets of 1 to 8,192 bytes."""
        with invalid_field("secrets"):
            await root(BatchVerifyRequest(secrets=secrets))


@pytest.mark.parametrize("secret", ["", "x" * 8_193, "é" * 4_097])
async def test_nothing_and_too_much_are_refused(root: Api, secret: str) -> None:
    """A secret to verify has 1 to 8,192 bytes."""
    with invalid_field("secret"):
        await root(VerifyRequest(secret=secret))


@pytest.mark.parametrize("secret", ["x" * 8_192, "é" * 4_096])
async def test_the_longest_secret_is_judged(root: Api, secret: str) -> None:
    """8,192 bytes are a verdict, not an error."""
    assert await verdict(root, secret) == "MALFORMED"
