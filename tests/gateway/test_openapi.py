"""docs/openapi.yaml says what the gateway answers, no more and no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from keyauthority.edge.envelope import Refusal

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text()
)
RESPONSES: dict[str, Any] = DOCUMENT["components"]["responses"]


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow *node* if it is a reference within the document."""
    target: Any = DOCUMENT
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    result: dict[str, Any] = target
    return result


def examples(response: dict[str, Any]) -> list[dict[str, Any]]:
    content = response.get("content", {}).get("application/json", {})
    return [example["value"] for example in content.get("examples", {}).values()]


def documented(path: str, method: str) -> set[tuple[int, str]]:
    """The status and code of each envelope that the operation documents."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    return {
        (int(status), example["error"]["code"])
        for status, response in responses.items()
        for example in examples(resolve(response))
    }


def test_forwarding_documents_every_refusal() -> None:
    """The table and the document are the same table."""
    assert documented("/v1/{path}", "post") == {(row.status, row.code) for row in Refusal}


@pytest.mark.parametrize("refusal", Refusal, ids=lambda row: row.name)
def test_each_refusal_is_documented_as_it_is_sent(refusal: Refusal) -> None:
    """Type, message and headers included, and valid by the document's own schema."""
    body = {"error": {"message": refusal.message, "type": refusal.kind, "code": refusal.code}}
    documented = DOCUMENT["paths"]["/v1/{path}"]["post"]["responses"]
    response = resolve(documented[str(refusal.status)])

    assert body in examples(response)
    Draft202012Validator(DOCUMENT["components"]["schemas"]["Error"]).validate(body)
    assert set(refusal.headers) - {"Content-Type"} <= set(response["headers"])
    challenges = DOCUMENT["components"]["headers"]["WWW-Authenticate"]["schema"]["enum"]
    assert refusal.headers.get("WWW-Authenticate", "Bearer") in challenges


def test_all_references_lead_somewhere() -> None:
    """No dangling name, and no response that nothing refers to."""
    text = yaml.safe_dump(DOCUMENT)
    references = {line.split("'")[1] for line in text.splitlines() if "$ref" in line}

    for reference in references:
        resolve({"$ref": reference})
    assert {f"#/components/responses/{name}" for name in RESPONSES} <= references
