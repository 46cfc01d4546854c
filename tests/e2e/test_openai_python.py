"""The official `openai` client for Python against the gateway."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import openai
import pytest

from tests.e2e.edge import Edge
from tests.e2e.processes import eventually

MODEL = "google/gemini-3-flash"

REVOKED = """
{
"error": {
"message": "invalid api key",
"type": "authentication_error",
"code": "invalid_key"
}
}
"""
"""What the public documentation says that a revoked key is answered."""

Connect = Callable[..., openai.OpenAI]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of an edge, with a key."""
    with ExitStack() as stack:

        def client(edge: Edge, secret: str, retries: int = 2) -> openai.OpenAI:
            http = stack.enter_context(openai.DefaultHttpxClient(trust_env=False))
            return openai.OpenAI(
                base_url=f"{edge.url}/v1", api_key=secret, http_client=http, max_retries=retries
            )

        yield client


def ask(client: openai.OpenAI) -> str:
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello"}]
    )
    return answer.choices[0].message.content or ""


def stream(client: openai.OpenAI) -> str:
    chunks = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    with chunks:
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def error_of(error: openai.APIStatusError) -> tuple[str | None, str | None, object]:
    assert isinstance(error.body, dict)
    return error.code, error.type, error.body["message"]


INVALID_KEY = ("invalid_key", "authentication_error", "invalid api key")


def test_a_key_lists_models_and_gets_answers(edge: Edge, workspace: str, connect: Connect) -> None:
    """Whole and streamed, billed to the key's workspace; also about the one model with a slash."""
    _, secret = edge.operator.issue(workspace)
    client = connect(edge, secret)

    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    assert ask(client) == stream(client) == f"You said: Hello (billed to {workspace})"


def test_a_revoked_key_is_refused_on_the_first_call(
    edge: Edge, workspace: str, connect: Connect
) -> None:
    """That begins after RevokeKey returned, on a connection that was good until then."""
    key, secret = edge.operator.issue(workspace)
    client = connect(edge, secret)
    ask(client)

    edge.operator.revoke(key.id)

    with pytest.raises(openai.AuthenticationError) as refused:
        ask(client)
    assert error_of(refused.value) == INVALID_KEY
    with pytest.raises(openai.AuthenticationError):
        stream(client)


def test_the_body_of_a_revoked_keys_answer_is_the_documented_one(
    edge: Edge, workspace: str
) -> None:
    """Byte for byte, white space between its tokens aside."""
    key, secret = edge.operator.issue(workspace)
    edge.operator.revoke(key.id)
    request = urllib.request.Request(
        f"{edge.url}/v1/models", headers={"Authorization": f"Bearer {secret}"}
    )

    with pytest.raises(urllib.error.HTTPError) as refused, _direct().open(request):
        pass

    with refused.value as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert answer.headers["Content-Type"] == "application/json"
        body = answer.read().decode()
    assert body == json.dumps(json.loads(REVOKED), separators=(",", ":"))
    # The same again without a parser between: only line ends and the space after a colon differ.
    assert body == REVOKED.replace("\n", "").replace('": ', '":')


def _direct() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_an_expired_key_says_so(edge: Edge, workspace: str, connect: Connect) -> None:
    """Once its time is over, and it was good before."""
    _, secret = edge.operator.issue(workspace, lasting=timedelta(seconds=1))
    client = connect(edge, secret)
    client.models.list()

    def refusal() -> openai.AuthenticationError | None:
        try:
            client.models.list()
        except openai.AuthenticationError as error:
            return error
        return None

    refused = eventually("the key expires", refusal)

    assert error_of(refused) == ("expired_key", "authentication_error", "expired api key")


def test_a_missing_key_says_so(edge: Edge, connect: Connect) -> None:
    """No Authorization header at all."""
    client = connect(edge, "unused")

    with pytest.raises(openai.AuthenticationError) as refused:
        client.models.list(extra_headers={"Authorization": openai.Omit()})

    assert error_of(refused.value)[:2] == ("missing_auth", "authentication_error")


@pytest.mark.parametrize("secret", ["nonsense", "sk-optk-" + "0" * 65])
def test_a_wrong_key_is_invalid(edge: Edge, connect: Connect, secret: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(openai.AuthenticationError) as refused:
        connect(edge, secret).models.list()

    assert error_of(refused.value) == INVALID_KEY


def test_a_suspended_workspaces_key_is_denied_until_it_is_resumed(
    edge: Edge, workspace: str, connect: Connect
) -> None:
    """As a permission error: the key itself is good."""
    _, secret = edge.operator.issue(workspace)
    client = connect(edge, secret)
    edge.operator.suspend(workspace)

    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.models.list()
    assert error_of(refused.value)[:2] == ("workspace_suspended", "permission_error")

    edge.operator.suspend(workspace, suspended=False)
    assert client.models.list().data


def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(
    edge: Edge, workspace: str, connect: Connect
) -> None:
    """Without an overlap the old one ends when the call returns."""
    key, first = edge.operator.issue(workspace)
    second = edge.operator.rotate(key.id, timedelta(hours=1))
    assert connect(edge, first).models.list().data
    assert connect(edge, second).models.list().data

    third = edge.operator.rotate(key.id)

    assert connect(edge, third).models.list().data
    for retired in (first, second):
        with pytest.raises(openai.AuthenticationError):
            connect(edge, retired).models.list()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_outage_of_the_authority_is_never_a_refusal(
    own_edge: Edge, connect: Connect, number: signal.Signals
) -> None:
    """Killed or frozen: a good key is answered until the lease is over, then 503 for good keys and
    bad; and good keys work again after it.
    """
    key, secret = own_edge.operator.issue(own_edge.operator.workspace())
    revoked, old = own_edge.operator.issue(key.workspace_id)
    own_edge.operator.revoke(revoked.id)
    clients = [connect(own_edge, each, retries=0) for each in (secret, old)]
    ask(clients[0])

    own_edge.authority.send(number)
    eventually("the lease is over", lambda: not _answers(clients[0]))
    for client in clients * 2:
        with pytest.raises(openai.InternalServerError) as failed:
            ask(client)
        assert failed.value.status_code == 503
        assert error_of(failed.value)[:2] == ("verification_unavailable", "server_error")

    own_edge.recover_authority()
    assert eventually("the good key works again", lambda: _answers(clients[0]))
    with pytest.raises(openai.AuthenticationError):
        ask(clients[1])


def _answers(client: openai.OpenAI) -> bool:
    # Nothing but an outage may come before the answer.
    try:
        return bool(ask(client))
    except openai.InternalServerError:
        return False


LONG = " ".join(["word"] * 50)
"""A question whose streamed answer takes two seconds."""


def test_an_empty_balance_costs_one_refused_request(billing_edge: Edge, connect: Connect) -> None:
    """No retries, with type and code; when a top-up has returned, the next request is answered."""
    workspace = billing_edge.operator.workspace()
    client = connect(billing_edge, billing_edge.operator.issue(workspace)[1])
    before = billing_edge.outcomes("credit_balance_exhausted")

    with pytest.raises(openai.APIStatusError) as refused:
        ask(client)

    assert refused.value.status_code == 402
    assert error_of(refused.value)[:2] == ("credit_balance_exhausted", "insufficient_quota")
    assert billing_edge.outcomes("credit_balance_exhausted") == before + 1
    billing_edge.operator.top_up(workspace, 10**9)
    assert ask(client) == stream(client) == f"You said: Hello (billed to {workspace})"


def test_credits_that_are_held_are_waited_for(billing_edge: Edge, connect: Connect) -> None:
    """By the client itself, which is answered once the running request has ended."""
    workspace = billing_edge.operator.workspace()
    billing_edge.operator.top_up(workspace, 900)
    client = connect(billing_edge, billing_edge.operator.issue(workspace)[1])
    before = billing_edge.outcomes("in_flight_budget_exhausted")
    running = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": LONG}], stream=True
    )

    with running, ThreadPoolExecutor(1) as pool:
        next(iter(running))
        waiting = pool.submit(ask, client)
        for _ in running:
            pass
        assert waiting.result() == f"You said: Hello (billed to {workspace})"
    assert billing_edge.outcomes("in_flight_budget_exhausted") > before


def test_what_has_no_price_is_said_to_have_none(billing_edge: Edge, connect: Connect) -> None:
    """As a bad request, which no client repeats."""
    workspace = billing_edge.operator.workspace()
    client = connect(billing_edge, billing_edge.operator.issue(workspace)[1])

    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="other", messages=[])

    assert error_of(refused.value)[:2] == ("model_not_priced", "invalid_request_error")
