"""`envoy.service.auth.v3.Authorization`: Envoy's questions, and the answers that it acts on."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pool

from keyauthority.domain.callers import Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.secrets import mint, new_id
from keyauthority.domain.verdicts import Verdict
from keyauthority.edge.envelope import Refusal
from keyauthority.rpc.envoy import DENIED, Question, answer
from keyauthority.rpc.envoy_contract import CheckRequest, CheckResponse
from keyauthority.v1.key_service_pb2 import IssueKeyResponse, RevokeKeyRequest
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import TIMEOUT, Api, Authority, LeaseClock, issue, refusal

SERVICE = "envoy.service.auth.v3.Authorization"


@pytest.fixture
async def envoy(authority: Authority) -> Api:
    """A caller like any verifier."""
    return await authority.caller(Role.VERIFIER)


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace, scopes=["chat:write", "models:read"])


def question(
    *authorization: str, method: str = "GET", path: str = "/v1/models", **headers: str
) -> Any:
    # As Envoy does: names in lower case, and values of one name joined.
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization:
        fields["authorization"] = ",".join(authorization)
    http = {"method": method, "headers": fields, "path": path}
    return CheckRequest(attributes={"request": {"http": http}})


async def ask(api: Api, request: Any) -> Any:
    channel: Any = api.channel
    check = channel.unary_unary(
        f"/{SERVICE}/Check",
        request_serializer=CheckRequest.SerializeToString,
        response_deserializer=CheckResponse.FromString,
    )
    return await check(request, metadata=api.metadata, timeout=TIMEOUT)


def fields_of(options: Any) -> dict[str, str]:
    return {option.header.key: option.header.value for option in options}


def check_denied(response: Any, expected: Refusal) -> None:
    """The answer is the gateway's, and no part of it lets anything through."""
    assert response.status.code != 0
    assert not response.HasField("ok_response")
    denied = response.denied_response
    assert denied.status.code == expected.status
    assert json.loads(denied.body) == json.loads(expected.json)
    assert fields_of(denied.headers) == dict(expected.headers)


async def test_a_good_key_is_ok_with_its_identity(
    envoy: Api, issued: IssueKeyResponse, workspace: str
) -> None:
    """Envoy sets these, over whatever the client sent, and removes the key."""
    for _ in range(2):
        response = await ask(envoy, question(f"Bearer {issued.secret}"))

        assert response.status.code == 0
        assert not response.HasField("denied_response")
        assert fields_of(response.ok_response.headers) == {
            "x-opentoken-workspace-id": workspace,
            "x-opentoken-key-id": issued.key.id,
            "x-opentoken-scopes": "chat:write models:read",
        }
        removed = response.ok_response.headers_to_remove
        assert set(removed) == {"authorization", "x-api-key", "api-key"}


async def test_the_second_answer_comes_from_memory(
    envoy: Api, issued: IssueKeyResponse, books: GatedBooks
) -> None:
    """Under the lease of the authority's own cache."""
    answers = [await ask(envoy, question(f"Bearer {issued.secret}")) for _ in range(3)]

    assert answers[0] == answers[1] == answers[2]
    assert books.keys == Counter({issued.key.id: 1})


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ((), Refusal.MISSING_AUTH),
        (("",), Refusal.MISSING_AUTH),
        (("Basic dTpw",), Refusal.MISSING_AUTH),
        (("Bearer a", "Bearer a"), Refusal.MISSING_AUTH),
        (("Bearer noise",), Refusal.INVALID_KEY),
        ((f"Bearer {mint(new_id('key')).reveal()}",), Refusal.INVALID_KEY),
        ((f"Bearer {'x' * 8_193}",), Refusal.INVALID_KEY),
    ],
    ids=["none", "empty", "basic", "two", "noise", "unknown", "long"],
)
async def test_what_is_no_key_is_refused(
    envoy: Api, authorization: tuple[str, ...], expected: Refusal
) -> None:
    check_denied(await ask(envoy, question(*authorization)), expected)


async def test_a_key_that_may_not_act_is_refused(
    root: Api, envoy: Api, workspace: str, clock: ManualClock
) -> None:
    """Expired, then with its workspace suspended: the codes and statuses differ."""
    hour = timedelta(hours=1)
    expired = await issue(root, workspace, expire_time=timestamp(clock.now() + hour))
    clock.time += 2 * hour
    check_denied(await ask(envoy, question(f"Bearer {expired.secret}")), Refusal.EXPIRED_KEY)

    other = await issue(root, workspace)
    change = UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True))
    change.update_mask.paths.append("suspended")
    await root(change)
    check_denied(await ask(envoy, question(f"Bearer {other.secret}")), Refusal.WORKSPACE_SUSPENDED)


async def test_a_revoked_key_is_refused_from_the_moment_of_the_receipt(
    root: Api, envoy: Api, issued: IssueKeyResponse
) -> None:
    """It was in memory a moment before."""
    assert (await ask(envoy, question(f"Bearer {issued.secret}"))).status.code == 0

    await root(RevokeKeyRequest(key_id=issued.key.id))

    check_denied(await ask(envoy, question(f"Bearer {issued.secret}")), Refusal.INVALID_KEY)


@pytest.mark.parametrize("name", ["x_opentoken_key_id", "x.opentoken.scopes", "x-opentoken-me"])
async def test_a_name_that_reads_like_ours_is_refused(
    envoy: Api, issued: IssueKeyResponse, name: str
) -> None:
    """Envoy would leave it standing beside what it sets; it replaces copies of the exact name."""
    request = question(f"Bearer {issued.secret}", x_opentoken_key_id="key_2")
    assert (await ask(envoy, request)).status.code == 0

    request.attributes.request.http.headers[name] = "admin"
    check_denied(await ask(envoy, request), Refusal.BAD_REQUEST)


@pytest.mark.parametrize("encode", [str, lambda secret: secret.replace("sk-", "%73k-")])
async def test_a_key_in_the_target_is_refused(
    envoy: Api, issued: IssueKeyResponse, encode: Any
) -> None:
    """It would stand in every log on the way."""
    request = question(f"Bearer {issued.secret}", path=f"/v1/x?key={encode(issued.secret)}")

    check_denied(await ask(envoy, request), Refusal.BAD_REQUEST)


async def test_fields_may_come_as_a_list(envoy: Api, issued: IssueKeyResponse) -> None:
    """With `encode_raw_headers` Envoy joins nothing: two credentials are two."""
    request = question()
    listed = request.attributes.request.http.header_map.headers
    listed.add(key="authorization", raw_value=f"Bearer {issued.secret}".encode())
    assert (await ask(envoy, request)).status.code == 0

    listed.add(key="authorization", raw_value=b"Bearer other")
    check_denied(await ask(envoy, request), Refusal.MISSING_AUTH)

    del listed[1]
    listed.add(key="x_opentoken_scopes", raw_value=b"admin")
    check_denied(await ask(envoy, request), Refusal.BAD_REQUEST)


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/models/a?b=../c", ""),
        ("POST", CHAT, ""),
        ("DELETE", "/v1/models/a", "insufficient_scope"),
        ("POST", "/v1/images/generations", "insufficient_scope"),
        ("GET", "/v1/models/../images", "bad_request"),
        ("GET", "/v1/models//x", "bad_request"),
    ],
)
async def test_a_key_with_scopes_may_do_what_the_rules_allow(
    root: Api,
    envoy: Api,
    workspace: str,
    issued: IssueKeyResponse,
    method: str,
    path: str,
    code: str,
) -> None:
    """By the rules that ship, as at the gateway; a key without scopes has full access to clear paths."""
    full = await issue(root, workspace)
    for _ in range(2):
        response = await ask(envoy, question(f"Bearer {issued.secret}", method=method, path=path))
        error = json.loads(response.denied_response.body or "{}").get("error", {})
        assert error.get("code", "") == code
        assert (response.status.code == 0) is (code == "")
    response = await ask(envoy, question(f"Bearer {full.secret}", method=method, path=path))
    if code == "bad_request":
        check_denied(response, Refusal.BAD_REQUEST)
    else:
        assert response.status.code == 0


@pytest.mark.parametrize(
    "path", ["/v1/..;/admin", "/v1/%2f..", "/v1/..%5cadmin", "//v1/models", "/v1/%zz/../../x", "*"]
)
async def test_a_path_with_two_readings_is_refused_for_every_key(
    root: Api, envoy: Api, workspace: str, path: str
) -> None:
    """The upstream might read it outside of what Envoy let through; also without scopes, and from memory."""
    full = await issue(root, workspace)
    assert (await ask(envoy, question(f"Bearer {full.secret}"))).status.code == 0

    check_denied(
        await ask(envoy, question(f"Bearer {full.secret}", path=path)), Refusal.BAD_REQUEST
    )


async def test_a_refused_scope_names_those_that_would_do(
    envoy: Api, issued: IssueKeyResponse
) -> None:
    request = question(f"Bearer {issued.secret}", method="POST", path="/v1/images/generations")

    response = await ask(envoy, request)

    assert response.denied_response.status.code == 403
    assert "images:write" in json.loads(response.denied_response.body)["error"]["message"]


class TestWithoutRules:
    @pytest.fixture
    def settings_fields(self) -> dict[str, Any]:
        return {"scope_rules": None}

    async def test_the_upstream_judges_scopes(self, envoy: Api, issued: IssueKeyResponse) -> None:
        """It gets them in a header."""
        request = question(f"Bearer {issued.secret}", method="POST", path="/v1/images/generations")

        assert (await ask(envoy, request)).status.code == 0


async def test_an_outage_is_an_error_and_no_answer(
    envoy: Api, issued: IssueKeyResponse, books: GatedBooks
) -> None:
    """Envoy lets nothing through then, and says nothing of the key."""
    books.failure = KeyAuthorityError(Reason.STORE_UNAVAILABLE, "gone")

    refused = await refusal(ask(envoy, question(f"Bearer {issued.secret}")))

    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


async def test_without_a_lease_memory_answers_nothing(
    envoy: Api, issued: IssueKeyResponse, books: GatedBooks, lease_clock: LeaseClock
) -> None:
    """The books can still answer, on SQLite; they are asked."""
    await ask(envoy, question(f"Bearer {issued.secret}"))
    books.renewals.close()
    lease_clock.ahead += timedelta(minutes=1).total_seconds()

    assert (await ask(envoy, question(f"Bearer {issued.secret}"))).status.code == 0

    assert books.keys[issued.key.id] == 2
    books.renewals.open()


def test_a_verdict_without_a_key_lets_nobody_in() -> None:
    """What no version of the authority says is no acceptance."""
    response = CheckResponse.FromString(
        answer(Question("x", "GET", "/v1"), Verdict.VALID, None, None)
    )

    check_denied(response, Refusal.VERIFICATION_UNAVAILABLE)


@pytest.mark.parametrize("expected", Refusal, ids=lambda row: row.name)
def test_every_refusal_has_its_answer(expected: Refusal) -> None:
    check_denied(CheckResponse.FromString(DENIED[expected]), expected)


def test_a_question_does_not_show_its_secret() -> None:
    secret = mint(new_id("key")).reveal()

    assert secret not in repr(Question(secret, "GET", "/v1"))


def test_the_contract_is_in_no_pool_that_others_use() -> None:
    """Or it would collide with Envoy's own protos, if somebody loads them."""
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindServiceByName(SERVICE)
