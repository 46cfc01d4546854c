"""Keys for tests: made in the console, or taken over by the operator in one call; and their use."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Sequence
from typing import Any

from console.paths import url
from console.people import Person
from keyauthority.client import Secret, bearer_metadata, person_metadata
from keyauthority.v1 import key_service_pb2 as keys_v1
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from tests.console.people_in_it import Cast
from tests.console.visiting import Visitor
from tests.e2e.edge import Edge


def made_key(cast: Cast, browser: Visitor, name: str = "billing", **typed: str) -> tuple[str, str]:
    """The id and the secret of a key that somebody made in the console."""
    path = url("key_new", workspace=cast.workspace)
    if "scopes" in typed:
        typed = {"access": "limited", **typed}
    shown = browser.submit(browser.get(path), path, name=name, **typed)
    assert shown.status == 200, shown.text
    [stored] = [one.action for one in shown.read.forms if one.action.endswith("/stored")]
    return stored.split("/")[4], shown.element("secret")


def taken_over(
    edge: Edge,
    workspace: str,
    names: Sequence[str],
    *,
    metadata: tuple[tuple[str, str | bytes], ...] = (),
    **fields: Any,
) -> list[Key]:
    """Keys of the workspace, in one call however many, and so all of the same moment.

    The operator's keys, unless *metadata* says for whom the call is made.
    """
    imported = [
        keys_v1.ImportedKey(secret=secrets.token_hex(16), name=name, **fields) for name in names
    ]
    request = keys_v1.ImportKeysRequest(workspace_id=workspace, keys=imported)
    stub = KeyServiceStub(edge.operator.channel)
    return list(
        stub.ImportKeys(request, metadata=metadata or edge.operator.metadata, timeout=20).keys
    )


def acting_for(cast: Cast, person: Person) -> tuple[tuple[str, str | bytes], ...]:
    """What the console calls the authority with when it acts for somebody."""
    token = Secret(cast.console.token_file.read_text().strip())
    return (*bearer_metadata(token), *person_metadata(person.id, person.email))


def in_turn(edge: Edge, workspace: str, names: Sequence[str], **fields: Any) -> list[Key]:
    """Keys of the workspace, each newer than the one before."""
    return [taken_over(edge, workspace, [name], **fields)[0] for name in names]


def key_of(edge: Edge, key_id: str) -> Key:
    """The key as the authority has it."""
    stub = KeyServiceStub(edge.operator.channel)
    request = keys_v1.GetKeyRequest(key_id=key_id)
    return stub.GetKey(request, metadata=edge.operator.metadata, timeout=10).key


def told(edge: Edge, secret: str) -> tuple[int, str]:
    """What the gateway says of a request with the secret: the status, and the code of its error."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
    try:
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {secret}"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return answer.status, "" if answer.status == 200 else json.loads(body)["error"]["code"]
