"""The synchronous client: over a channel whose far end is the test, and against a real authority.

No coroutine in this file: grpc-testing would report OK of one without running it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.duration_pb2 import Duration

from keyauthority.client import (
    PlaintextError,
    Secret,
    Verdict,
    Verification,
    VerificationUnavailable,
    VerifiedKey,
    VerifierClient,
    load_token,
)
from keyauthority.v1 import verification_service_pb2 as pb
from tests.cli.parts import serving
from tests.gateway.parts import TOKEN, new_secret, reply, valid_reply

SERVICE = pb.DESCRIPTOR.services_by_name["VerificationService"]

TESTS = Path(__file__).parent.parent


class FarEnd:
    """A client at work in a thread, and the channel on which the test answers it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._channel = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())
        self.client = VerifierClient(token=Secret(TOKEN), channel=self._channel)

    def ask(self, secret: str) -> Future[Verification]:
        return self._pool.submit(self.client.verify, secret)

    def take(self) -> tuple[dict[str, str], pb.VerifyRequest, Callable[..., None]]:
        """The next call: its metadata, its request, and what ends it."""
        metadata, request, call = self._channel.take_unary_unary(SERVICE.methods_by_name["Verify"])
        call.send_initial_metadata(())

        def end(answer: pb.VerifyResponse | None, code: grpc.StatusCode, text: str = "") -> None:
            call.terminate(answer, (), code, text)

        return dict(metadata), request, end

    def answered(self, secret: str, answer: pb.VerifyResponse) -> Verification:
        asked = self.ask(secret)
        _, _, end = self.take()
        end(answer, grpc.StatusCode.OK)
        return asked.result(10)


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with ThreadPoolExecutor(8) as pool:
        yield FarEnd(pool)


def test_a_valid_secret_comes_with_its_key(far_end: FarEnd) -> None:
    """Id, workspace, name, scopes and labels; read from the books, with the token."""
    secret, answer = new_secret(), valid_reply("a", "b")
    answer.key.labels["team"] = "search"
    asked = far_end.ask(secret)
    metadata, request, end = far_end.take()
    end(answer, grpc.StatusCode.OK)
    verification = asked.result(10)
    assert verification.verdict is Verdict.VALID
    assert verification.key == VerifiedKey("key_1", "ws_1", "one", ("a", "b"), {"team": "search"})
    assert verification.holds()
    assert metadata["authorization"] == f"Bearer {TOKEN}"
    assert request == pb.VerifyRequest(secret=secret, fresh=True)


@pytest.mark.parametrize("verdict", list(Verdict)[1:])
def test_a_refused_secret_is_an_answer(far_end: FarEnd, verdict: Verdict) -> None:
    """Not an exception."""
    answer = reply(pb.Verdict.ValueType(verdict.value))
    assert far_end.answered(new_secret(), answer).verdict is verdict


def test_nothing_is_kept(far_end: FarEnd) -> None:
    """The second question about a secret is a call as the first was."""
    secret = new_secret()
    assert far_end.answered(secret, valid_reply()).verdict is Verdict.VALID
    assert far_end.answered(secret, reply(pb.VERDICT_DISABLED)).verdict is Verdict.DISABLED


def test_a_verdict_soon_holds_no_more(far_end: FarEnd) -> None:
    """There is nobody who would tell this client of a change."""
    answer = valid_reply()
    answer.cache_for.CopyFrom(Duration())
    assert not far_end.answered(new_secret(), answer).holds()


@pytest.mark.parametrize(
    "noise", ["", "short", "x" * 257, "sch\u00f6n genug und lang genug", "sk-optk-", "\ud800" * 20]
)
def test_noise_is_malformed_without_a_call(far_end: FarEnd, noise: str) -> None:
    """As with `Verifier`: nobody answers here, and none is asked."""
    assert far_end.client.verify(noise).verdict is Verdict.MALFORMED
    assert far_end.client.verify(new_secret() + "x").verdict is Verdict.MALFORMED


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    ],
)
def test_an_outage_is_no_verdict(far_end: FarEnd, code: grpc.StatusCode) -> None:
    """Whatever fails: the status is a reason for the log, without the authority's text."""
    asked = far_end.ask(new_secret())
    _, _, end = far_end.take()
    end(None, code, "token optk-svc-123 is not known")
    with pytest.raises(VerificationUnavailable) as outage:
        asked.result(10)
    assert str(outage.value) == code.name


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(pb.VerifyResponse(), id="unspecified"),
        pytest.param(reply(pb.Verdict.ValueType(99)), id="unknown-value"),
        pytest.param(reply(pb.VERDICT_VALID), id="valid-without-key"),
    ],
)
def test_an_answer_we_do_not_know_is_no_verdict(far_end: FarEnd, answer: pb.VerifyResponse) -> None:
    """A newer authority may say more than this client understands."""
    with pytest.raises(VerificationUnavailable):
        far_end.answered(new_secret(), answer)


def test_threads_share_a_client(far_end: FarEnd) -> None:
    """Each gets the answer to its own question, in whichever order they come."""
    secrets = [new_secret() for _ in range(8)]
    asked = {secret: far_end.ask(secret) for secret in secrets}
    calls = [far_end.take() for _ in secrets]
    for _, request, end in reversed(calls):
        answer = valid_reply()
        answer.key.name = request.secret[-6:]
        end(answer, grpc.StatusCode.OK)
    for secret, answered in asked.items():
        key = answered.result(10).key
        assert key is not None
        assert key.name == secret[-6:]


def test_against_a_real_authority(tmp_path: Path) -> None:
    """Accepted, then refused by the next question after the revocation; nobody there, no verdict."""
    with serving(tmp_path / "data") as cli:
        key_id, secret = cli.issue()
        token = load_token(tmp_path / "data" / "root.token")
        with VerifierClient(cli.address, token=token, timeout=5) as client:
            assert client.verify(secret).verdict is Verdict.VALID
            cli.text("keys", "revoke", key_id)
            assert client.verify(secret).verdict is Verdict.REVOKED
        with pytest.raises(VerificationUnavailable, match="closed"):
            client.verify(secret)
        with (
            VerifierClient(cli.address, token=Secret("optk-svc-x"), timeout=5) as stranger,
            pytest.raises(VerificationUnavailable, match="UNAUTHENTICATED"),
        ):
            stranger.verify(secret)
    with (
        VerifierClient(cli.address, token=token) as client,
        pytest.raises(VerificationUnavailable),
    ):
        client.verify(secret)


def test_a_silent_authority_is_no_verdict_in_time() -> None:
    """Something listens and never answers: the call ends by the client's own clock."""
    done = threading.Event()

    def silent(request: pb.VerifyRequest, context: grpc.ServicerContext) -> pb.VerifyResponse:
        done.wait(10)
        return valid_reply()

    handler: Any = grpc.unary_unary_rpc_method_handler(
        silent, pb.VerifyRequest.FromString, pb.VerifyResponse.SerializeToString
    )
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_registered_method_handlers(SERVICE.full_name, {"Verify": handler})
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with (
                VerifierClient(f"127.0.0.1:{port}", token=Secret(TOKEN), timeout=0.3) as client,
                pytest.raises(VerificationUnavailable, match="DEADLINE_EXCEEDED"),
            ):
                client.verify(new_secret())
        finally:
            done.set()
            server.stop(None).wait()


def test_plaintext_over_a_network_is_refused() -> None:
    """It would carry the token and every secret."""
    with pytest.raises(PlaintextError):
        VerifierClient("192.0.2.1:50051", token=Secret(TOKEN))


def test_nothing_shows_the_token(far_end: FarEnd) -> None:
    """Neither the client nor what it says of a secret."""
    secret = new_secret()
    assert TOKEN not in repr(far_end.client)
    assert secret not in repr(far_end.answered(secret, valid_reply()))


def test_no_coroutine_is_handed_to_grpc_testing() -> None:
    """It would say OK of an `async def` servicer that it never ran: it serves channels alone."""
    imports = re.compile(r"^\s*(import|from) grpc_testing", re.MULTILINE)
    serves = re.compile(r"^\s*async def |grpc_testing\.server", re.MULTILINE)
    users = [path for path in TESTS.rglob("*.py") if imports.search(path.read_text())]
    assert users == [Path(__file__)]
    assert not serves.search(Path(__file__).read_text().replace(serves.pattern, ""))
